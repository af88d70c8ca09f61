//! Dates: strftime, to_datetime, and the values they work on.

use super::numbers::parse_float;
use super::py::{self, Num, Py, Res, error, fail};
use super::{Args, Filter, f};
use jiff::civil;
use jiff::tz::TimeZone;
use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

pub const FILTERS: &[Filter] =
    &[f("strftime", "string_format, second=, utc=", strftime_filter), f("to_datetime", "string, format=", to_datetime)];

/// Python's `datetime`: without time zone, or with an offset in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct DateTime {
    pub at: civil::DateTime,
    pub offset: Option<i32>,
    pub zone: String,
}

/// Python's `timedelta`, in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeDelta(pub i128);

impl DateTime {
    /// The present time, in the controller's zone (which Python's naive values do not name) or in UTC.
    pub fn now(utc: bool) -> DateTime {
        let now = jiff::Timestamp::now();
        let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
        let micro = now.as_microsecond();
        let now = jiff::Timestamp::from_microsecond(micro).unwrap_or(now);
        DateTime { at: now.to_zoned(zone).datetime(), offset: None, zone: String::new() }
    }
    pub fn isoformat(&self, sep: &str) -> String {
        let d = self.at;
        let mut s = format!(
            "{:04}-{:02}-{:02}{sep}{:02}:{:02}:{:02}",
            d.year(),
            d.month(),
            d.day(),
            d.hour(),
            d.minute(),
            d.second()
        );
        if d.subsec_nanosecond() > 0 {
            s.push_str(&format!(".{:06}", d.subsec_nanosecond() / 1000));
        }
        if self.offset.is_some() {
            s.push_str(&offset_text(self.offset, true));
        }
        s
    }
    /// `datetime.datetime(2021, 3, 4, 5, 6)`
    pub fn repr(&self) -> String {
        let d = self.at;
        let mut parts = vec![i64::from(d.year()), d.month().into(), d.day().into(), d.hour().into(), d.minute().into()];
        let micro = i64::from(d.subsec_nanosecond() / 1000);
        if d.second() != 0 || micro != 0 {
            parts.push(d.second().into());
        }
        if micro != 0 {
            parts.push(micro);
        }
        format!("datetime.datetime({})", parts.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
    }
    fn timestamp(&self) -> f64 {
        let zone = match self.offset {
            Some(o) => jiff::tz::Offset::from_seconds(o).map(TimeZone::fixed).unwrap_or(TimeZone::UTC),
            None => TimeZone::system(),
        };
        zone.to_ambiguous_zoned(self.at).compatible().map_or(0.0, |z| z.timestamp().as_microsecond() as f64 / 1e6)
    }
    fn micros(&self) -> i128 {
        let base = self.at.to_zoned(TimeZone::UTC).map_or(0, |z| i128::from(z.timestamp().as_microsecond()));
        base - i128::from(self.offset.unwrap_or(0)) * 1_000_000
    }
    fn shifted(&self, micros: i128) -> Res<DateTime> {
        let span = i64::try_from(micros).map(jiff::SignedDuration::from_micros);
        let at = span.ok().and_then(|s| self.at.checked_add(s).ok()).ok_or_else(|| error("date value out of range"))?;
        Ok(DateTime { at, ..self.clone() })
    }
}

fn offset_text(offset: Option<i32>, colon: bool) -> String {
    let Some(o) = offset else { return String::new() };
    let n = o.unsigned_abs();
    format!("{}{:02}{}{:02}", if o < 0 { '-' } else { '+' }, n / 3600, if colon { ":" } else { "" }, n / 60 % 60)
}

/// The order of two dates or of two durations.
pub fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a.downcast_object_ref::<DateTime>(), b.downcast_object_ref::<DateTime>()) {
        (Some(x), Some(y)) => Some(x.micros().cmp(&y.micros())),
        _ => match (a.downcast_object_ref::<TimeDelta>(), b.downcast_object_ref::<TimeDelta>()) {
            (Some(x), Some(y)) => Some(x.0.cmp(&y.0)),
            _ => None,
        },
    }
}

/// `a - b` and `a + b` where a date or a duration takes part; `None` where neither does.
pub fn arithmetic(op: char, a: &Value, b: &Value) -> Option<Res> {
    let (da, db) = (a.downcast_object_ref::<DateTime>(), b.downcast_object_ref::<DateTime>());
    let (ta, tb) = (a.downcast_object_ref::<TimeDelta>(), b.downcast_object_ref::<TimeDelta>());
    Some(match (op, da, db, ta, tb) {
        ('-', Some(x), Some(y), _, _) => Ok(Value::from_object(TimeDelta(x.micros() - y.micros()))),
        ('-', Some(x), _, _, Some(t)) => x.shifted(-t.0).map(Value::from_object),
        ('+', Some(x), _, _, Some(t)) | ('+', _, Some(x), Some(t), _) => x.shifted(t.0).map(Value::from_object),
        ('-', _, _, Some(x), Some(y)) => Ok(Value::from_object(TimeDelta(x.0 - y.0))),
        ('+', _, _, Some(x), Some(y)) => Ok(Value::from_object(TimeDelta(x.0 + y.0))),
        (_, None, None, None, None) => return None,
        _ => fail(format!("unsupported operand type(s) for {op}: '{}' and '{}'", py::type_name(a), py::type_name(b))),
    })
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// C's `strftime` in the C locale. `stamp` is what `%s` shows.
pub fn strftime(format: &str, d: &DateTime, stamp: i64) -> String {
    let at = d.at;
    let weekday = i32::from(at.date().weekday().to_sunday_zero_offset());
    let day_of_year = i32::from(at.date().day_of_year());
    let hour12 = (i32::from(at.hour()) + 11) % 12 + 1;
    let name = |all: &[&str], i: i32, n: usize| {
        usize::try_from(i)
            .ok()
            .and_then(|i| all.get(i))
            .map_or("", |s| s.get(..n.min(s.len())).unwrap_or(s))
            .to_string()
    };
    let iso = at.date().iso_week_date();
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // glibc's flags: `-` no padding, `_` blanks, `0` zeros
        let flag = chars.next_if(|c| matches!(c, '-' | '_' | '0' | '^' | '#'));
        let number = |n: i64, width: usize, pad: char| match flag {
            Some('-') => n.to_string(),
            Some('_') => format!("{n:>width$}"),
            Some('0') => format!("{n:0width$}"),
            _ if pad == ' ' => format!("{n:>width$}"),
            _ => format!("{n:0width$}"),
        };
        let part = match chars.next() {
            None => {
                out.push('%');
                break;
            }
            Some('Y') => at.year().to_string(),
            Some('C') => number(i64::from(at.year()).div_euclid(100), 2, '0'),
            Some('y') => number(i64::from(at.year()).rem_euclid(100), 2, '0'),
            Some('m') => number(at.month().into(), 2, '0'),
            Some('d') => number(at.day().into(), 2, '0'),
            Some('e') => number(at.day().into(), 2, ' '),
            Some('H') => number(at.hour().into(), 2, '0'),
            Some('k') => number(at.hour().into(), 2, ' '),
            Some('I') => number(hour12.into(), 2, '0'),
            Some('l') => number(hour12.into(), 2, ' '),
            Some('M') => number(at.minute().into(), 2, '0'),
            Some('S') => number(at.second().into(), 2, '0'),
            Some('f') => format!("{:06}", at.subsec_nanosecond() / 1000),
            Some('j') => number(day_of_year.into(), 3, '0'),
            Some('p') => (if at.hour() < 12 { "AM" } else { "PM" }).to_string(),
            Some('P') => (if at.hour() < 12 { "am" } else { "pm" }).to_string(),
            Some('a') => name(&DAYS, weekday, 3),
            Some('A') => name(&DAYS, weekday, 20),
            Some('b' | 'h') => name(&MONTHS, i32::from(at.month()) - 1, 3),
            Some('B') => name(&MONTHS, i32::from(at.month()) - 1, 20),
            Some('w') => weekday.to_string(),
            Some('u') => ((weekday + 6) % 7 + 1).to_string(),
            Some('U') => number(((day_of_year + 6 - weekday) / 7).into(), 2, '0'),
            Some('W') => number(((day_of_year + 6 - (weekday + 6) % 7) / 7).into(), 2, '0'),
            Some('V') => number(iso.week().into(), 2, '0'),
            Some('G') => iso.year().to_string(),
            Some('g') => number(i64::from(iso.year()).rem_euclid(100), 2, '0'),
            Some('s') => stamp.to_string(),
            Some('z') => offset_text(d.offset, false),
            Some('Z') => d.zone.clone(),
            Some('n') => "\n".into(),
            Some('t') => "\t".into(),
            Some('%') => "%".into(),
            Some('D' | 'x') => strftime("%m/%d/%y", d, stamp),
            Some('F') => strftime("%Y-%m-%d", d, stamp),
            Some('T' | 'X') => strftime("%H:%M:%S", d, stamp),
            Some('R') => strftime("%H:%M", d, stamp),
            Some('r') => strftime("%I:%M:%S %p", d, stamp),
            Some('c') => strftime("%a %b %e %H:%M:%S %Y", d, stamp),
            Some(other) => format!("%{other}"),
        };
        out.push_str(&if flag == Some('^') { part.to_uppercase() } else { part });
    }
    out
}

/// The class's name in the words of Python's time functions, which show `None` itself.
fn none_itself(kind: &str) -> &str {
    if kind == "NoneType" { "None" } else { kind }
}

fn strftime_filter(_: &mut State, a: &Args) -> Res {
    let format =
        a.only_text("string_format", |kind| format!("strftime() argument 1 must be str, not {}", none_itself(kind)))?;
    let utc = a.flag("utc", false)?;
    let seconds = match a.some("second") {
        None => None,
        Some(v) => match (py::view(v), py::number(v)) {
            (Py::Str(s), _) => Some(parse_float(s)),
            (_, Some(n)) => Some(Some(n.float())),
            _ => Some(None),
        },
    };
    let stamp = match seconds {
        None => Ok(jiff::Timestamp::now()),
        Some(x) => {
            x.filter(|x| x.is_finite()).and_then(|x| jiff::Timestamp::from_second(x.floor() as i64).ok()).ok_or(())
        }
    };
    let Ok(stamp) = stamp else {
        return fail(format!("Invalid value for epoch value ({})", py::str(a.val("second"))?));
    };
    let zoned = stamp.to_zoned(if utc { TimeZone::UTC } else { TimeZone::system() });
    let zone = if utc { "GMT".to_string() } else { zoned.strftime("%Z").to_string() };
    let d = DateTime { at: zoned.datetime(), offset: Some(zoned.offset().seconds()), zone };
    Ok(Value::from(strftime(&format, &d, stamp.as_second())))
}

fn to_datetime(_: &mut State, a: &Args) -> Res {
    let text = a.only_text("string", |kind| format!("strptime() argument 1 must be str, not {}", none_itself(kind)))?;
    let format = a.text_or("format", "%Y-%m-%d %H:%M:%S")?;
    strptime(&text, &format).map(Value::from_object)
}

/// `datetime.strptime`
fn strptime(text: &str, format: &str) -> Res<DateTime> {
    let no_match = || {
        let (t, f) = (Value::from(text), Value::from(format));
        error(format!(
            "time data {} does not match format {}",
            py::repr(&t).unwrap_or_default(),
            py::repr(&f).unwrap_or_default()
        ))
    };
    let mut tm = jiff::fmt::strtime::BrokenDownTime::default();
    // the library has no %c, %x, %X of the C locale
    let full = format
        .replace("%c", "%a %b %e %H:%M:%S %Y")
        .replace("%x", "%m/%d/%y")
        .replace("%X", "%H:%M:%S")
        .replace("%Z", "%Q");
    let parsed = jiff::fmt::strtime::BrokenDownTime::parse_prefix(&full, text);
    match parsed {
        Ok((t, used)) => {
            if used < text.len() {
                return fail(format!("unconverted data remains: {}", text.get(used..).unwrap_or("")));
            }
            tm = t;
        }
        Err(_) => {
            if !text.is_empty() || !format.is_empty() {
                return Err(no_match());
            }
        }
    }
    let year = tm.year().unwrap_or(1900);
    let date = match (tm.day_of_year(), tm.month(), tm.day()) {
        (Some(n), None, _) => {
            civil::Date::new(year, 1, 1).ok().and_then(|d| d.checked_add(jiff::Span::new().days(i64::from(n) - 1)).ok())
        }
        (_, m, d) => civil::Date::new(year, m.unwrap_or(1), d.unwrap_or(1)).ok(),
    };
    let date = date.ok_or_else(|| error("day is out of range for month"))?;
    let hour = match (tm.hour(), tm.meridiem()) {
        (Some(h), Some(jiff::fmt::strtime::Meridiem::PM)) if h < 12 => h + 12,
        (Some(12), Some(jiff::fmt::strtime::Meridiem::AM)) => 0,
        (Some(h), _) => h,
        (None, _) => 0,
    };
    let time = civil::Time::new(
        hour,
        tm.minute().unwrap_or(0),
        tm.second().unwrap_or(0),
        tm.subsec_nanosecond().unwrap_or(0) / 1000 * 1000,
    )
    .map_err(|_| no_match())?;
    Ok(DateTime { at: date.to_datetime(time), offset: tm.offset().map(|o| o.seconds()), zone: String::new() })
}

impl Object for DateTime {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => Value::from(self.at.year()),
            "month" => Value::from(i64::from(self.at.month())),
            "day" => Value::from(i64::from(self.at.day())),
            "hour" => Value::from(i64::from(self.at.hour())),
            "minute" => Value::from(i64::from(self.at.minute())),
            "second" => Value::from(i64::from(self.at.second())),
            "microsecond" => Value::from(self.at.subsec_nanosecond() / 1000),
            _ => return None,
        })
    }
    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Res {
        let first = args.first().map(py::str).transpose()?;
        let monday = i64::from(self.at.date().weekday().to_monday_zero_offset());
        Ok(match method {
            "strftime" => Value::from(strftime(&first.unwrap_or_default(), self, self.timestamp() as i64)),
            "isoformat" => Value::from(self.isoformat(first.as_deref().unwrap_or("T"))),
            "timestamp" => Value::from(self.timestamp()),
            "weekday" => Value::from(monday),
            "isoweekday" => Value::from(monday + 1),
            "ctime" => Value::from(strftime("%c", self, 0)),
            "toordinal" => {
                let days = self.micros().div_euclid(86_400_000_000);
                py::int(days + 719_163)
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }
    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.micros().cmp(&other.downcast_ref::<DateTime>()?.micros()))
    }
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.isoformat(" "))
    }
}

impl TimeDelta {
    fn parts(&self) -> (i128, i128, i128) {
        let (days, rest) = (self.0.div_euclid(86_400_000_000), self.0.rem_euclid(86_400_000_000));
        (days, rest / 1_000_000, rest % 1_000_000)
    }
}

impl Object for TimeDelta {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (days, seconds, micros) = self.parts();
        match key.as_str()? {
            "days" => Some(py::int(days)),
            "seconds" => Some(py::int(seconds)),
            "microseconds" => Some(py::int(micros)),
            _ => None,
        }
    }
    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Res {
        match method {
            "total_seconds" => Ok(Num::Float(self.0 as f64 / 1e6).value()),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<TimeDelta>()?.0))
    }
    fn is_true(self: &Arc<Self>) -> bool {
        self.0 != 0
    }
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds, micros) = self.parts();
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if micros > 0 {
            write!(f, ".{micros:06}")?;
        }
        Ok(())
    }
}
