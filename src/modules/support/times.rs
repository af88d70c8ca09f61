//! Points in time as arguments give them and results show them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime::BrokenDownTime;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// What a time argument asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    Preserve,
    Now,
    At(SystemTime),
}

/// Reads `preserve`, `now` or a local time in a `strftime` format; fields that the format leaves out
/// are those of 1900-01-01 00:00:00, as Python has them.
pub fn wanted(text: &str, format: &str) -> Result<Wanted, String> {
    match text {
        "preserve" => return Ok(Wanted::Preserve),
        "now" => return Ok(Wanted::Now),
        _ => {}
    }
    let bad =
        || format!("time data {} does not match format {}", super::pytext::repr(text), super::pytext::repr(format));
    let t = BrokenDownTime::parse(format, text).map_err(|_| bad())?;
    let at = match t.to_timestamp() {
        Ok(ts) => ts,
        Err(_) => {
            let full = match t.to_date() {
                Ok(d) => d,
                Err(_) => Date::new(t.year().unwrap_or(1900), t.month().unwrap_or(1), t.day().unwrap_or(1))
                    .map_err(|_| bad())?,
            };
            let time = t.to_time().unwrap_or(Time::midnight());
            let local = DateTime::from_parts(full, time).to_zoned(super::localtime::zone()).map_err(|_| bad())?;
            local.timestamp()
        }
    };
    Ok(Wanted::At(SystemTime::from(at)))
}

/// Seconds since the epoch as Python's `os.stat` gives them: a float.
pub fn seconds(secs: i64, nanos: i64) -> f64 {
    secs as f64 + 1e-9 * nanos as f64
}
pub fn mtime(st: &Metadata) -> f64 {
    seconds(st.mtime(), st.mtime_nsec())
}
pub fn atime(st: &Metadata) -> f64 {
    seconds(st.atime(), st.atime_nsec())
}
pub fn ctime(st: &Metadata) -> f64 {
    seconds(st.ctime(), st.ctime_nsec())
}

/// A system time in seconds since the epoch.
pub fn as_seconds(t: SystemTime) -> f64 {
    Timestamp::try_from(t).map(|t| t.as_second() as f64 + 1e-9 * f64::from(t.subsec_nanosecond())).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let at = |t: &str, f: &str| match wanted(t, f) {
            Ok(Wanted::At(t)) => {
                let z = Timestamp::try_from(t).expect("in range").to_zoned(crate::modules::support::localtime::zone());
                z.strftime("%Y-%m-%d %H:%M:%S").to_string()
            }
            other => format!("{other:?}"),
        };
        assert_eq!(at("202001020304.05", "%Y%m%d%H%M.%S"), "2020-01-02 03:04:05");
        assert_eq!(at("2020", "%Y"), "2020-01-01 00:00:00");
        assert_eq!(wanted("now", "%Y"), Ok(Wanted::Now));
        assert!(wanted("x", "%Y").is_err());
    }
}
