//! Spans of time as users give them: never negative, never so long that a clock overflows.

use std::time::Duration;

/// The longest span: 136 years, which added to now is still a time.
const LONGEST: u64 = u32::MAX as u64;

/// That many seconds; negative ones are none, more than [`LONGEST`] are that.
pub fn whole(n: impl TryInto<i128>) -> Duration {
    let n = n.try_into().unwrap_or(i128::from(LONGEST));
    Duration::from_secs(u64::try_from(n.max(0)).unwrap_or(LONGEST).min(LONGEST))
}

/// That many seconds with their fractions; negative ones and what is no number are none.
pub fn fraction(n: f64) -> Duration {
    // `clamp` keeps NaN, which the conversion refuses
    Duration::try_from_secs_f64(n.clamp(0.0, LONGEST as f64)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn any_number_is_a_span() {
        assert_eq!(whole(3u64), Duration::from_secs(3));
        assert_eq!(whole(-3i64), Duration::ZERO);
        assert_eq!(whole(u64::MAX), Duration::from_secs(LONGEST));
        assert_eq!(whole(i128::MAX), Duration::from_secs(LONGEST));
        assert_eq!(fraction(1.5), Duration::from_millis(1500));
        assert_eq!(fraction(f64::NAN), Duration::ZERO);
        assert_eq!(fraction(-1.0), Duration::ZERO);
        assert!(Instant::now().checked_add(fraction(f64::INFINITY)).is_some());
    }
}
