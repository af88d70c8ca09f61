//! Time, environment, the user, and the host's public ssh keys.

use super::{Env, Facts, obj, read};
use crate::modules::support::{accounts, localtime};
use jiff::{Timestamp, Zoned, civil, tz::TimeZone};
use nix::unistd::{getegid, geteuid, getgid, getuid};
use serde_json::Value as Json;

pub fn date_time(_: &mut Env) -> Facts {
    let now = localtime::now();
    let utc = now.with_time_zone(TimeZone::UTC);
    let f = |z: &Zoned, s: &str| Json::from(z.strftime(s).to_string());
    let us = format!("{:06}", now.subsec_nanosecond() / 1000);
    let epoch = now.timestamp().as_second().to_string();
    let d = obj([
        ("year", f(&now, "%Y")),
        ("month", f(&now, "%m")),
        ("weekday", f(&now, "%A")),
        ("weekday_number", f(&now, "%w")),
        ("weeknumber", f(&now, "%W")),
        ("day", f(&now, "%d")),
        ("hour", f(&now, "%H")),
        ("minute", f(&now, "%M")),
        ("second", f(&now, "%S")),
        ("epoch", epoch.as_str().into()),
        ("epoch_int", epoch.into()),
        ("date", f(&now, "%Y-%m-%d")),
        ("time", f(&now, "%H:%M:%S")),
        ("iso8601_micro", format!("{}.{us}Z", utc.strftime("%Y-%m-%dT%H:%M:%S")).into()),
        ("iso8601", f(&utc, "%Y-%m-%dT%H:%M:%SZ")),
        ("iso8601_basic", format!("{}{us}", now.strftime("%Y%m%dT%H%M%S")).into()),
        ("iso8601_basic_short", f(&now, "%Y%m%dT%H%M%S")),
        ("tz", f(&now, "%Z")),
        ("tz_dst", dst_name(&now).into()),
        ("tz_offset", f(&now, "%z")),
    ]);
    obj([("date_time", Json::Object(d))])
}

/// The zone's name in summer time, or its only name.
fn dst_name(now: &Zoned) -> String {
    let tz = now.time_zone();
    let in_dst = [1i8, 7].into_iter().find_map(|m| {
        let t: Timestamp = civil::date(now.year(), m, 1).to_zoned(tz.clone()).ok()?.timestamp();
        let info = tz.to_offset_info(t);
        info.dst().is_dst().then(|| info.abbreviation().to_string())
    });
    in_dst.unwrap_or_else(|| now.strftime("%Z").to_string())
}

pub fn env(env: &mut Env) -> Facts {
    let mut m = Facts::new();
    for (k, v) in std::env::vars_os() {
        m.insert(k.to_string_lossy().into_owned(), v.to_string_lossy().into_owned().into());
    }
    for (k, v) in &env.ctx.env {
        m.insert(k.clone(), v.as_str().into());
    }
    obj([("env", Json::Object(m))])
}

pub fn user(env: &mut Env) -> Facts {
    let uid = getuid().as_raw();
    let var = |n: &str| {
        let set = env.ctx.env.iter().rev().find(|(k, _)| k == n).map(|(_, v)| v.clone());
        set.or_else(|| std::env::var(n).ok()).filter(|v| !v.is_empty())
    };
    let entry = accounts::user_by_id(&env.ctx, uid);
    let name = ["LOGNAME", "USER", "LNAME", "USERNAME"]
        .into_iter()
        .find_map(var)
        .or_else(|| entry.as_ref().map(|e| e.name.clone()))
        .unwrap_or_else(|| uid.to_string());
    let mut f = obj([("user_id", name.as_str().into())]);
    if let Some(e) = accounts::user_by_name(&env.ctx, &name).or(entry) {
        f.extend(obj([
            ("user_uid", e.uid.into()),
            ("user_gid", e.gid.into()),
            ("user_gecos", e.gecos.into()),
            ("user_dir", e.home.into()),
            ("user_shell", e.shell.into()),
        ]));
    }
    f.extend(obj([
        ("real_user_id", uid.into()),
        ("effective_user_id", geteuid().as_raw().into()),
        ("real_group_id", getgid().as_raw().into()),
        ("effective_group_id", getegid().as_raw().into()),
    ]));
    f
}

pub fn ssh_pub_keys(_: &mut Env) -> Facts {
    let mut f = Facts::new();
    for dir in ["/etc/ssh", "/etc/openssh", "/etc"] {
        for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
            let Some(text) = read(format!("{dir}/ssh_host_{kind}_key.pub")) else { continue };
            let mut words = text.split_whitespace();
            if let (Some(ty), Some(key)) = (words.next(), words.next()) {
                f.insert(format!("ssh_host_key_{kind}_public"), key.into());
                f.insert(format!("ssh_host_key_{kind}_public_keytype"), ty.into());
            }
        }
        if !f.is_empty() {
            break;
        }
    }
    f
}
