//! Global functions of templates (`range`, `dict`, `now`, …). `lookup`, `query` and `q` are the engine's.

use super::filters::py::{self, Py, Res, error, fail};
use super::filters::time::{DateTime, strftime};
use super::filters::{Args, Signature};
use minijinja::value::{Enumerator, Object, ObjectRepr, Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use rand::Rng;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Func = fn(&mut State, &Args) -> Res;

const GLOBALS: &[(&str, &str, Func)] = &[
    ("range", "start, stop=, step=", range),
    ("dict", "init=, *, **more", dict),
    ("lipsum", "n=, html=, min=, max=", lipsum),
    ("cycler", "*items", cycler),
    ("joiner", "sep=", joiner),
    ("now", "utc=, fmt=", now),
    ("undef", "hint=", undef),
];

/// Registers the global functions. `namespace` stays the engine's own, which `set ns.x` works on.
pub fn register(env: &mut Environment<'static>) {
    for (name, params, func) in GLOBALS {
        let sig = Arc::new(Signature::parse(params));
        env.add_function(*name, move |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<Value, Error> {
            let args = Args::bind(name, &sig, &args.into_values())?;
            args.check_broken()?;
            super::impure::called(name);
            if let Some(v) = args.undefined() {
                return Ok(v.clone());
            }
            func(state, &args).map_err(|e| match e.kind() {
                ErrorKind::UndefinedError => e,
                _ => error(format!("Error rendering template: {}", e.detail().unwrap_or_default())),
            })
        });
    }
    env.remove_global("debug");
}

/// The longest range: what makes a list of it must not eat the machine.
const MAX_RANGE: usize = 10_000_000;

/// Python's `range`: numbers that are counted, not stored.
#[derive(Debug)]
pub struct Range {
    start: i128,
    stop: i128,
    step: i128,
}

impl Range {
    fn len(&self) -> usize {
        let (distance, step) = match self.step > 0 {
            true => (self.stop.saturating_sub(self.start), self.step),
            false => (self.start.saturating_sub(self.stop), -self.step),
        };
        if distance <= 0 { 0 } else { usize::try_from((distance - 1) / step + 1).unwrap_or(usize::MAX) }
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let i = key.as_usize().filter(|i| *i < self.len())?;
        Some(py::int(self.start + self.step * i as i128))
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len())
    }
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            1 => write!(f, "range({}, {})", self.start, self.stop),
            step => write!(f, "range({}, {}, {step})", self.start, self.stop),
        }
    }
}

fn range(_: &mut State, a: &Args) -> Res {
    let first = a.int("start", 0)?;
    let (start, stop) = match a.int_opt("stop")? {
        Some(stop) => (first, stop),
        None => (0, first),
    };
    let step = a.int("step", 1)?;
    let fits = |x: i128| i64::try_from(x).is_ok();
    if step == 0 {
        return fail("range() arg 3 must not be zero");
    }
    if !fits(start) || !fits(stop) || !fits(step) {
        return fail("range() arguments are too large");
    }
    let range = Range { start, stop, step };
    if range.len() > MAX_RANGE {
        return fail(format!("range() of {} numbers is too large (at most {MAX_RANGE})", range.len()));
    }
    Ok(Value::from_object(range))
}

fn dict(_: &mut State, a: &Args) -> Res {
    let mut pairs = vec![];
    if let Some(init) = a.get("init").or(a.rest.first()) {
        match py::view(init) {
            Py::Dict => pairs = py::pairs(init)?,
            _ => {
                for (i, item) in py::iter(init)?.iter().enumerate() {
                    if !matches!(py::view(item), Py::List | Py::Tuple | Py::Str(_) | Py::Dict) {
                        return fail(format!("cannot convert dictionary update sequence element #{i} to a sequence"));
                    }
                    match py::iter(item)?.as_slice() {
                        [k, v] => pairs.push((k.clone(), v.clone())),
                        other => {
                            return fail(format!(
                                "dictionary update sequence element #{i} has length {}; 2 is required",
                                other.len()
                            ));
                        }
                    }
                }
            }
        }
    }
    pairs.extend(a.more.iter().map(|(k, v)| (Value::from(k.as_str()), v.clone())));
    Ok(py::dict(pairs))
}

fn now(_: &mut State, a: &Args) -> Res {
    let utc = a.flag("utc", false)?;
    let now = DateTime::now(utc);
    match a.text_opt("fmt")?.filter(|f| !f.is_empty()) {
        Some(format) => Ok(Value::from(strftime(&format, &now, jiff::Timestamp::now().as_second()))),
        None => Ok(Value::from_object(now)),
    }
}

fn undef(_: &mut State, a: &Args) -> Res {
    Ok(py::undefined(a.text_or("hint", "Mandatory variable has not been overridden")?))
}

#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Cycler {
    fn current(&self) -> Value {
        let n = self.items.len().max(1);
        self.items.get(self.at.load(Ordering::Relaxed) % n).cloned().unwrap_or_default()
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current")).then(|| self.current())
    }
    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Res {
        match method {
            "next" => {
                let v = self.current();
                self.at.fetch_add(1, Ordering::Relaxed);
                Ok(v)
            }
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn cycler(_: &mut State, a: &Args) -> Res {
    if a.rest.is_empty() {
        return fail("at least one item has to be provided");
    }
    Ok(Value::from_object(Cycler { items: a.rest.clone(), at: AtomicUsize::new(0) }))
}

#[derive(Debug)]
struct Joiner {
    sep: Value,
    used: AtomicBool,
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Res {
        let used = self.used.swap(true, Ordering::Relaxed);
        Ok(if used { self.sep.clone() } else { Value::from("") })
    }
}

fn joiner(_: &mut State, a: &Args) -> Res {
    let sep = a.get("sep").cloned().unwrap_or_else(|| Value::from(", "));
    Ok(Value::from_object(Joiner { sep, used: AtomicBool::new(false) }))
}

const LATIN: &str = "a ac accumsan ad adipiscing aenean aliquam aliquet amet ante aptent arcu at auctor augue bibendum \
blandit class commodo condimentum congue consectetuer consequat conubia convallis cras cubilia cum curabitur curae \
cursus dapibus diam dictum dignissim dis dolor donec dui duis egestas eget eleifend elementum elit enim erat eros est \
et etiam eu euismod facilisi facilisis fames faucibus felis fermentum feugiat fringilla fusce gravida habitant hac \
hendrerit hymenaeos iaculis id imperdiet in inceptos integer interdum ipsum justo lacinia lacus laoreet lectus leo \
libero ligula litora lobortis lorem luctus maecenas magna malesuada massa mattis mauris metus mi molestie mollis morbi \
nam nascetur natoque nec neque netus nibh nisi nisl non nonummy nostra nulla nullam nunc odio orci ornare parturient \
pede pellentesque penatibus per pharetra phasellus placerat platea porta porttitor posuere potenti praesent pretium \
primis proin pulvinar purus quam quis quisque rhoncus ridiculus risus rutrum sagittis sapien scelerisque sed sem semper \
senectus sit sociis sociosqu sodales sollicitudin suscipit suspendisse taciti tellus tempor tempus tincidunt torquent \
tortor tristique turpis ullamcorper ultrices ultricies urna ut varius vehicula vel velit venenatis vestibulum vitae \
vivamus viverra volutpat vulputate";

/// More words than this only serve to exhaust memory.
const MAX_WORDS: i128 = 1_000_000;

fn lipsum(_: &mut State, a: &Args) -> Res {
    let n = a.int("n", 5)?;
    let html = a.flag("html", true)?;
    let (min, max) = (a.int("min", 20)?, a.int("max", 100)?);
    if max <= min || min < 0 {
        return Err(error(format!("empty range in randrange({min}, {max})")));
    }
    if n.saturating_mul(max) > MAX_WORDS {
        return fail(format!("too much text (at most {MAX_WORDS} words)"));
    }
    let words: Vec<&str> = LATIN.split_whitespace().collect();
    let mut rng = rand::rng();
    let mut paragraphs = vec![];
    for _ in 0..n {
        let mut text = String::new();
        let (mut start, mut comma, mut stop) = (true, 0i128, 0i128);
        let length = rng.random_range(min..max);
        for i in 0..length {
            let mut word = words.get(rng.random_range(0..words.len())).copied().unwrap_or("lorem").to_string();
            if start {
                word = super::filters::capitalize(&word);
                start = false;
            }
            if i - comma > rng.random_range(3..8) {
                (comma, stop) = (i, stop + 2);
                word.push(',');
            } else if i - stop > rng.random_range(10..20) {
                (comma, stop, start) = (i, i, true);
                word.push('.');
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word);
        }
        let text = format!("{}.", text.trim_end_matches(['.', ',']));
        paragraphs.push(if html { format!("<p>{text}</p>") } else { text });
    }
    Ok(match html {
        true => Value::from_safe_string(paragraphs.join("\n")),
        false => Value::from(paragraphs.join("\n\n")),
    })
}
