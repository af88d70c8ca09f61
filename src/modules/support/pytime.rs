//! Times as Python's `str(datetime)` and `str(timedelta)` write them.

use jiff::Zoned;
use std::time::Duration;

/// Local time as `2026-01-31 12:00:00.123456` (no fraction if it is zero).
pub fn datetime(t: &Zoned) -> String {
    let us = t.subsec_nanosecond() / 1000;
    let base = t.strftime("%Y-%m-%d %H:%M:%S").to_string();
    if us == 0 { base } else { format!("{base}.{us:06}") }
}

/// A time span as `0:00:01.500000` or `2 days, 0:00:00`.
pub fn timedelta(d: Duration) -> String {
    let s = d.as_secs();
    let us = d.subsec_micros();
    let days = match s / 86400 {
        0 => String::new(),
        1 => "1 day, ".into(),
        n => format!("{n} days, "),
    };
    let base = format!("{days}{}:{:02}:{:02}", s / 3600 % 24, s / 60 % 60, s % 60);
    if us == 0 { base } else { format!("{base}.{us:06}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(timedelta(Duration::from_micros(4_264)), "0:00:00.004264");
        assert_eq!(timedelta(Duration::from_secs(2 * 86400 + 3661)), "2 days, 1:01:01");
    }
}
