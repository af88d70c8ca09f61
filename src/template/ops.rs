//! Python's operators over template values, with Python's errors.

use super::convert::{check, fail, is_tuple, is_undefined, py_str, type_name};
use super::filters::time::arithmetic;
use minijinja::Error;
use minijinja::value::{Tuple, Value as Mj, ValueKind};
use std::cmp::Ordering;

/// A number; booleans count as 0 and 1.
#[derive(Clone, Copy, Debug)]
pub enum Num {
    Int(i128),
    Float(f64),
}

impl Num {
    pub fn of(v: &Mj) -> Option<Num> {
        match v.kind() {
            ValueKind::Bool => Some(Num::Int(i128::from(v.is_true()))),
            ValueKind::Number if v.is_integer() => i128::try_from(v.clone()).ok().map(Num::Int),
            ValueKind::Number => f64::try_from(v.clone()).ok().map(Num::Float),
            _ => None,
        }
    }
    fn float(self) -> f64 {
        match self {
            Num::Int(i) => i as f64,
            Num::Float(f) => f,
        }
    }
}

fn int(i: Option<i128>) -> Result<Mj, Error> {
    match i {
        Some(i) => Ok(i64::try_from(i).map(Mj::from).unwrap_or_else(|_| Mj::from(i))),
        None => Err(fail("integer result is too large (beyond 128 bits)")),
    }
}

fn unsupported(op: &str, a: &Mj, b: &Mj) -> Error {
    fail(format!("unsupported operand type(s) for {op}: '{}' and '{}'", type_name(a), type_name(b)))
}

/// The members of a list or tuple, or of another iterable.
pub fn members(v: &Mj) -> Result<Vec<Mj>, Error> {
    Ok(v.try_iter()?.collect())
}

fn is_list(v: &Mj) -> bool {
    v.kind() == ValueKind::Seq && !is_tuple(v)
}

/// `a + b`
pub fn add(a: &Mj, b: &Mj) -> Result<Mj, Error> {
    if let (Some(x), Some(y)) = (Num::of(a), Num::of(b)) {
        return match (x, y) {
            (Num::Int(x), Num::Int(y)) => int(x.checked_add(y)),
            (x, y) => Ok(Mj::from(x.float() + y.float())),
        };
    }
    if let Some(x) = a.as_str() {
        return match b.as_str() {
            Some(y) => Ok(Mj::from(format!("{x}{y}"))),
            None => Err(concat_error("str", b)),
        };
    }
    if is_tuple(a) || is_list(a) {
        if is_tuple(a) != is_tuple(b) || b.kind() != ValueKind::Seq {
            return Err(concat_error(type_name(a), b));
        }
        let mut all = members(a)?;
        all.extend(members(b)?);
        return Ok(if is_tuple(a) { Mj::from(Tuple::new(all)) } else { Mj::from(all) });
    }
    arithmetic('+', a, b).unwrap_or_else(|| Err(unsupported("+", a, b)))
}

fn concat_error(kind: &str, b: &Mj) -> Error {
    if b.is_undefined() {
        return missing_else();
    }
    fail(format!("can only concatenate {kind} (not \"{}\") to {kind}", type_name(b)))
}

/// The error of an inline `if` without `else` whose value is needed.
fn missing_else() -> Error {
    fail("the inline if-expression on line 1 evaluated to false and no else section was defined.")
}

/// `a - b`
pub fn sub(a: &Mj, b: &Mj) -> Result<Mj, Error> {
    match (Num::of(a), Num::of(b)) {
        (Some(Num::Int(x)), Some(Num::Int(y))) => int(x.checked_sub(y)),
        (Some(x), Some(y)) => Ok(Mj::from(x.float() - y.float())),
        _ => arithmetic('-', a, b).unwrap_or_else(|| Err(unsupported("-", a, b))),
    }
}

/// The most characters or members that repetition may make.
const MAX_REPEAT: usize = 1 << 26;

/// `a * b`
pub fn mul(a: &Mj, b: &Mj) -> Result<Mj, Error> {
    match (Num::of(a), Num::of(b)) {
        (Some(Num::Int(x)), Some(Num::Int(y))) => int(x.checked_mul(y)),
        (Some(x), Some(y)) => Ok(Mj::from(x.float() * y.float())),
        (None, Some(Num::Int(n))) => repeat(a, n),
        (Some(Num::Int(n)), None) => repeat(b, n),
        (x, _) => {
            let (seq, other) = if x.is_none() { (a, b) } else { (b, a) };
            if matches!(seq.kind(), ValueKind::String | ValueKind::Seq) {
                Err(fail(format!("can't multiply sequence by non-int of type '{}'", type_name(other))))
            } else {
                Err(unsupported("*", a, b))
            }
        }
    }
}

fn repeat(v: &Mj, n: i128) -> Result<Mj, Error> {
    let n = usize::try_from(n.max(0)).unwrap_or(usize::MAX);
    let len = v.as_str().map(str::len).or_else(|| v.len()).unwrap_or(0);
    if len.saturating_mul(n) > MAX_REPEAT {
        return Err(fail("repetition makes too large a value"));
    }
    if let Some(s) = v.as_str() {
        return Ok(Mj::from(s.repeat(n)));
    }
    if v.kind() != ValueKind::Seq {
        return Err(fail(format!("unsupported operand type(s) for *: '{}' and 'int'", type_name(v))));
    }
    let one = members(v)?;
    let all: Vec<Mj> = std::iter::repeat_n(one, n).flatten().collect();
    Ok(if is_tuple(v) { Mj::from(Tuple::new(all)) } else { Mj::from(all) })
}

/// `a / b`, always a float.
pub fn div(a: &Mj, b: &Mj) -> Result<Mj, Error> {
    match (Num::of(a), Num::of(b)) {
        (Some(x), Some(y)) => {
            if y.float() == 0.0 {
                let float = matches!(x, Num::Float(_)) || matches!(y, Num::Float(_));
                return Err(fail(if float { "float division by zero" } else { "division by zero" }));
            }
            Ok(Mj::from(x.float() / y.float()))
        }
        _ => Err(unsupported("/", a, b)),
    }
}

/// `a // b`, rounding down.
pub fn floor_div(a: &Mj, b: &Mj) -> Result<Mj, Error> {
    match (Num::of(a), Num::of(b)) {
        (Some(Num::Int(_)), Some(Num::Int(0))) => Err(fail("integer division or modulo by zero")),
        (Some(Num::Int(x)), Some(Num::Int(y))) => {
            let q = x.checked_div(y);
            int(q.map(|q| if x % y != 0 && ((x < 0) != (y < 0)) { q - 1 } else { q }))
        }
        (Some(x), Some(y)) => {
            if y.float() == 0.0 {
                return Err(fail("float floor division by zero"));
            }
            Ok(Mj::from((x.float() / y.float()).floor()))
        }
        _ => Err(unsupported("//", a, b)),
    }
}

/// `a % b`: the remainder with the divisor's sign, or Python's string formatting.
pub fn rem(a: &Mj, b: &Mj) -> Result<Mj, Error> {
    if let Some(s) = a.as_str() {
        return super::format::percent(s, b).map(Mj::from);
    }
    match (Num::of(a), Num::of(b)) {
        (Some(Num::Int(_)), Some(Num::Int(0))) => Err(fail("integer modulo by zero")),
        (Some(Num::Int(x)), Some(Num::Int(y))) => {
            let r = x.checked_rem(y);
            int(r.map(|r| if r != 0 && ((r < 0) != (y < 0)) { r + y } else { r }))
        }
        (Some(x), Some(y)) => {
            let (x, y) = (x.float(), y.float());
            if y == 0.0 {
                return Err(fail("float modulo"));
            }
            let r = x % y;
            Ok(Mj::from(if r != 0.0 && ((r < 0.0) != (y < 0.0)) { r + y } else { r }))
        }
        _ => Err(unsupported("%", a, b)),
    }
}

/// `a ** b`
pub fn pow(a: &Mj, b: &Mj) -> Result<Mj, Error> {
    match (Num::of(a), Num::of(b)) {
        (Some(Num::Int(x)), Some(Num::Int(y))) if y >= 0 => int(u32::try_from(y).ok().and_then(|y| x.checked_pow(y))),
        (Some(x), Some(y)) => {
            if x.float() == 0.0 && y.float() < 0.0 {
                return Err(fail("0.0 cannot be raised to a negative power"));
            }
            Ok(Mj::from(x.float().powf(y.float())))
        }
        _ => Err(unsupported("** or pow()", a, b)),
    }
}

/// `-a`
pub fn neg(a: &Mj) -> Result<Mj, Error> {
    match Num::of(a) {
        Some(Num::Int(i)) => int(i.checked_neg()),
        Some(Num::Float(f)) => Ok(Mj::from(-f)),
        None => Err(fail(format!("bad operand type for unary -: '{}'", type_name(a)))),
    }
}

/// `a ~ b`
pub fn concat(a: &Mj, b: &Mj) -> Result<Mj, Error> {
    let mut out = text(a)?;
    out.push_str(&text(b)?);
    Ok(Mj::from(out))
}

fn text(v: &Mj) -> Result<String, Error> {
    if v.is_undefined() { Ok(String::new()) } else { py_str(v) }
}

/// `a == b` as Python has it: `True == 1 == 1.0`, a list never equals a tuple.
pub fn equal(a: &Mj, b: &Mj) -> Result<bool, Error> {
    equal_at(a, b, 0)
}

fn equal_at(a: &Mj, b: &Mj, depth: usize) -> Result<bool, Error> {
    if depth > 200 {
        return Err(fail("maximum recursion depth exceeded in comparison"));
    }
    if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        return Ok(x == y);
    }
    if let (Some(x), Some(y)) = (Num::of(a), Num::of(b)) {
        return Ok(match (x, y) {
            (Num::Int(x), Num::Int(y)) => x == y,
            (x, y) => x.float() == y.float(),
        });
    }
    match (a.kind(), b.kind()) {
        (ValueKind::None, ValueKind::None) => Ok(true),
        (ValueKind::Seq, ValueKind::Seq) => {
            if is_tuple(a) != is_tuple(b) || a.len() != b.len() {
                return Ok(false);
            }
            for (x, y) in a.try_iter()?.zip(b.try_iter()?) {
                if !equal_at(&check(x)?, &check(y)?, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (ValueKind::Map, ValueKind::Map) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for key in a.try_iter()? {
                let (x, y) = (check(a.get_item(&key)?)?, check(b.get_item(&key)?)?);
                if y.is_undefined() || !equal_at(&x, &y, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (ValueKind::String | ValueKind::None, _) | (_, ValueKind::String | ValueKind::None) => Ok(false),
        (ValueKind::Seq | ValueKind::Map, _) | (_, ValueKind::Seq | ValueKind::Map) => Ok(false),
        _ => Ok(a == b),
    }
}

/// The order of two values; `op` is the operator named in Python's error.
pub fn compare_for(a: &Mj, b: &Mj, op: &str) -> Result<Ordering, Error> {
    if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        return Ok(x.cmp(y));
    }
    if let (Some(x), Some(y)) = (Num::of(a), Num::of(b)) {
        return Ok(match (x, y) {
            (Num::Int(x), Num::Int(y)) => x.cmp(&y),
            (x, y) => x.float().partial_cmp(&y.float()).unwrap_or(Ordering::Greater),
        });
    }
    if a.kind() == ValueKind::Seq && b.kind() == ValueKind::Seq && is_tuple(a) == is_tuple(b) {
        for (x, y) in a.try_iter()?.zip(b.try_iter()?) {
            let (x, y) = (check(x)?, check(y)?);
            if !equal(&x, &y)? {
                return compare_for(&x, &y, op);
            }
        }
        return Ok(a.len().cmp(&b.len()));
    }
    if a.is_undefined() || b.is_undefined() {
        return Err(missing_else());
    }
    if let Some(order) = super::filters::time::order(a, b) {
        return Ok(order);
    }
    Err(fail(format!("'{op}' not supported between instances of '{}' and '{}'", type_name(a), type_name(b))))
}

/// The order of two values as Python's sort needs it.
pub fn compare(a: &Mj, b: &Mj) -> Result<Ordering, Error> {
    compare_for(a, b, "<")
}

/// `needle in haystack`
pub fn contains(haystack: &Mj, needle: &Mj) -> Result<bool, Error> {
    if let Some(h) = haystack.as_str() {
        return match needle.as_str() {
            Some(n) => Ok(h.contains(n)),
            None => Err(fail(format!("'in <string>' requires string as left operand, not {}", type_name(needle)))),
        };
    }
    match haystack.kind() {
        ValueKind::Map => {
            let found = haystack.get_item(needle)?;
            Ok(!found.is_undefined())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for item in haystack.try_iter()? {
                if equal(&check(item)?, needle)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        ValueKind::Undefined => Ok(false),
        _ => Err(fail(format!("argument of type '{}' is not iterable", type_name(haystack)))),
    }
}

/// Python's truth of a value; a marker raises its error.
pub fn truthy(v: &Mj) -> Result<bool, Error> {
    if v.kind() == ValueKind::Invalid {
        check(v.clone())?;
    }
    Ok(v.is_true())
}

/// `v[start:stop:step]`
pub fn slice(v: &Mj, start: &Mj, stop: &Mj, step: &Mj) -> Result<Mj, Error> {
    let index = |v: &Mj| -> Result<Option<i128>, Error> {
        match Num::of(v) {
            Some(Num::Int(i)) => Ok(Some(i)),
            _ if v.is_none() => Ok(None),
            _ => Err(fail("slice indices must be integers or None or have an __index__ method")),
        }
    };
    let step = index(step)?.unwrap_or(1);
    if step == 0 {
        return Err(fail("slice step cannot be zero"));
    }
    if let Some(s) = v.as_str() {
        let chars: Vec<char> = s.chars().collect();
        return Ok(Mj::from(
            picked(chars.len(), index(start)?, index(stop)?, step).filter_map(|i| chars.get(i)).collect::<String>(),
        ));
    }
    if !matches!(v.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(super::convert::undefined(format!("object of type '{}' has no attribute slice", type_name(v))));
    }
    let all = members(v)?;
    let out: Vec<Mj> =
        picked(all.len(), index(start)?, index(stop)?, step).filter_map(|i| all.get(i).cloned()).collect();
    Ok(if is_tuple(v) { Mj::from(Tuple::new(out)) } else { Mj::from(out) })
}

fn picked(len: usize, start: Option<i128>, stop: Option<i128>, step: i128) -> impl Iterator<Item = usize> {
    let n = len as i128;
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let fix = |i: i128| if i < 0 { (i + n).max(low) } else { i.min(high) };
    let mut at = start.map_or(if step > 0 { low } else { high }, fix);
    let end = stop.map_or(if step > 0 { high } else { low }, fix);
    std::iter::from_fn(move || {
        if (step > 0 && at < end) || (step < 0 && at > end) {
            let here = usize::try_from(at).ok();
            at = at.saturating_add(step);
            here
        } else {
            None
        }
    })
}

/// The member that `attribute='a.b.0'` names; a marker with Ansible's words when it is missing.
pub fn attribute(v: &Mj, path: &str) -> Result<Mj, Error> {
    let mut at = v.clone();
    for part in path.split('.') {
        if is_undefined(&at) {
            return Ok(at);
        }
        at = match part.parse::<i64>() {
            Ok(i) => super::helpers::item(&at, &Mj::from(i))?,
            Err(_) => super::helpers::item(&at, &Mj::from(part))?,
        };
    }
    Ok(at)
}
