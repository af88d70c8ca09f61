//! Password hashes and the ages in /etc/shadow.

use super::Job;
use crate::modules::Failure;
use crate::modules::support::exec::{Cmd, need_program};
use jiff::Timestamp;

/// What /etc/shadow says of a user; numbers in days.
pub struct Shadow {
    pub hash: String,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub warn: Option<i64>,
    pub inactive: Option<i64>,
    pub expire: Option<i64>,
}

pub fn shadow(name: &str) -> Option<Shadow> {
    let bytes = std::fs::read("/etc/shadow").ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().find_map(|l| {
        let f: Vec<&str> = l.split(':').collect();
        let n = |i: usize| f.get(i).and_then(|s| s.parse::<i64>().ok());
        (f.first() == Some(&name)).then(|| Shadow {
            hash: f.get(1).copied().unwrap_or("").to_string(),
            min: n(3),
            max: n(4),
            warn: n(5),
            inactive: n(6),
            expire: n(7),
        })
    })
}

/// False for what is no crypt(3) hash and no locked password either.
pub fn looks_hashed(p: &str) -> bool {
    let body = p.trim_start_matches('!');
    if body.is_empty() || body.chars().all(|c| c == '*') {
        return true;
    }
    if !body.contains('$') || body.contains(':') || body.contains('\n') {
        return false;
    }
    let fields: Vec<&str> = body.split('$').collect();
    let (Some(id), Some(hash)) = (fields.get(1), fields.last()) else { return false };
    let good = hash.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '/');
    let length = match *id {
        "1" => hash.len() == 22,
        "5" => hash.len() == 43,
        "6" => hash.len() == 86,
        _ => true,
    };
    fields.len() >= 3 && good && length
}

/// Sets a hash through chpasswd's standard input.
pub fn set(job: &Job, hash: &str) -> Result<(), Failure> {
    if hash.contains([':', '\n']) || job.name.contains([':', '\n']) {
        let msg = "the password holds a colon or a line end and would damage /etc/shadow";
        return Err(Failure::new(msg).set("name", job.name));
    }
    let tool = need_program(job.ctx, "chpasswd")?;
    job.call(Cmd::new([tool.as_str(), "-e"]).stdin(format!("{}:{hash}\n", job.name))).map(drop)
}

/// Sets the ages that differ; true if some do. In check mode a new user has none yet.
pub fn ages(job: &Job, new: bool) -> Result<bool, Failure> {
    let now = shadow(job.name);
    type Get = fn(&Shadow) -> Option<i64>;
    let table: [(&str, &str, Get); 4] = [
        ("password_expire_max", "-M", |s| s.max),
        ("password_expire_min", "-m", |s| s.min),
        ("password_expire_warn", "-W", |s| s.warn),
        ("password_expire_account_disable", "-I", |s| s.inactive),
    ];
    let mut opts: Vec<String> = vec![];
    for (arg, flag, get) in table {
        if let Some(v) = job.args.opt_int(arg)
            && now.as_ref().and_then(get) != Some(v)
        {
            opts.extend([flag.to_string(), v.to_string()]);
        }
    }
    if opts.is_empty() {
        return Ok(false);
    }
    if !job.ctx.check {
        job.call(Cmd::new([need_program(job.ctx, "chage")?]).args(opts).args(["--", job.name]))?;
    }
    Ok(!new || !job.ctx.check)
}

/// Seconds since 1970 as the date that useradd and usermod take; "" for a negative number.
pub fn date(epoch: f64) -> Result<String, Failure> {
    if epoch < 0.0 {
        return Ok(String::new());
    }
    Timestamp::from_second(epoch as i64)
        .map(|t| t.strftime("%Y-%m-%d").to_string())
        .map_err(|e| Failure::new(format!("Invalid value for 'expires' {epoch}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes() {
        for p in [
            "!",
            "*",
            "!!",
            "$y$j9T$salt$hash",
            "$6$abcdefgh$CTdzSPdTh.pGcZ3/pAyyOQ0J2Z7NUKIHbF7vGMW7v0zXVRWmRIZGPFBpoYQ0sxIVDuqOCbdgDPAY4QcsdxzAP1",
        ] {
            assert_eq!(looks_hashed(p), !p.starts_with("$6") || p.rsplit('$').next().map(str::len) == Some(86), "{p}");
        }
        for p in ["plain", "$6$salt$short", "a:b$c$d"] {
            assert!(!looks_hashed(p), "{p}");
        }
        assert_eq!(date(1893456000.0).ok().as_deref(), Some("2030-01-01"));
        assert_eq!(date(-1.0).ok().as_deref(), Some(""));
        assert!(date(1e300).is_err());
    }
}
