//! The lookup `sequence`: numbers in a format, from `start=1 end=5 stride=2 format=web%02d`, or the
//! short form `[start-]end[/stride][:format]`.

use super::{Call, shell_words};
use crate::diag::{Error, Result};
use crate::template::convert::error;
use crate::template::format::percent;
use crate::value::{Key, Map, Value};
use minijinja::value::Value as Mj;

/// The most numbers that one sequence gives.
const MAX: i128 = 10_000_000;

pub(super) fn sequence(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    if call.terms.is_empty() && !call.options.is_empty() {
        one(&call.options, &mut out)?;
    }
    for term in call.texts()? {
        let mut options = call.options.clone();
        if !short_form(&term, &mut options) {
            words(&term, &mut options)?;
        }
        one(&options, &mut out)?;
    }
    Ok(out)
}

fn short_form(term: &str, options: &mut Map) -> bool {
    let (range, format) = match term.split_once(':') {
        Some((r, f)) if !f.is_empty() => (r, Some(f)),
        Some(_) => return false,
        None => (term, None),
    };
    let (range, stride) = match range.split_once('/') {
        Some((r, s)) => (r, Some(s)),
        None => (range, None),
    };
    let (start, end) = match range.split_once('-') {
        Some((s, e)) => (Some(s), e),
        None => (None, range),
    };
    let number = |s: &str| {
        let digits = s.strip_prefix("0x").unwrap_or(s);
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit())
    };
    if !number(end) || start.is_some_and(|s| !number(s)) || stride.is_some_and(|s| !number(s)) {
        return false;
    }
    for (key, value) in [("start", start), ("end", Some(end)), ("stride", stride), ("format", format)] {
        if let Some(v) = value {
            options.insert(Key::from(key), Value::plain(v));
        }
    }
    true
}

fn words(term: &str, options: &mut Map) -> Result<()> {
    let mut unknown = Vec::new();
    for word in shell_words(term)? {
        match word.split_once('=') {
            Some((k @ ("start" | "end" | "stride" | "count" | "format"), v)) => {
                options.insert(Key::from(k), Value::plain(v));
            }
            Some((k, _)) => unknown.push(format!("'{k}'")),
            None => unknown.push("'_raw_params'".into()),
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.dedup();
    Err(Error::template(format!("unrecognized arguments to with_sequence: [{}]", unknown.join(", "))))
}

fn integer(options: &Map, name: &str) -> Result<Option<i128>> {
    match options.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(i)) => Ok(Some(*i)),
        Some(v) => v.to_str().trim().parse().map(Some).map_err(|_| {
            Error::template(format!(
                "Config '{name}' for 'sequence' lookup plugin from 'Direct' has an invalid value: Invalid value provided for 'integer': '{}'",
                v.to_str()
            ))
        }),
    }
}

fn one(options: &Map, out: &mut Vec<Value>) -> Result<()> {
    let count = integer(options, "count")?;
    let end = integer(options, "end")?;
    let start = integer(options, "start")?.unwrap_or(1);
    let stride = integer(options, "stride")?.unwrap_or(1);
    let format = options.get("format").map_or_else(|| "%d".to_string(), Value::to_str);
    let end = match (count, end) {
        (None, None) => return Err(Error::template("must specify count or end in with_sequence")),
        (Some(_), Some(_)) => return Err(Error::template("can't specify both count and end in with_sequence")),
        (Some(0), _) => return Ok(()),
        (Some(n), None) => start.saturating_add(n.saturating_mul(stride)).saturating_sub(1),
        (None, Some(e)) => e,
    };
    if stride == 0 {
        return Ok(());
    }
    if stride > 0 && end < start {
        return Err(Error::template("to count backwards make stride negative"));
    }
    if stride < 0 && end > start {
        return Err(Error::template("to count forward don't make stride negative"));
    }
    if format.matches('%').count() != 1 {
        return Err(Error::template(format!("bad formatting string: {format}")));
    }
    if (end - start) / stride > MAX {
        return Err(Error::template("the sequence is too long"));
    }
    let mut at = start;
    while (stride > 0 && at <= end) || (stride < 0 && at >= end) {
        let text = percent(&format, &Mj::from(at))
            .map_err(|e| Error::template(format!("problem formatting {at} with '{format}': {}", error(e))))?;
        out.push(Value::plain(text));
        at = at.saturating_add(stride);
    }
    Ok(())
}
