//! Facts of facter and ohai, where those are installed.

use super::{Env, Facts};
use crate::modules::support::exec::{Cmd, find_program};
use serde_json::Value as Json;

pub fn facter(env: &mut Env) -> Facts {
    let name = find_program(&env.ctx, "facter").or_else(|| {
        let p = "/opt/puppetlabs/bin/facter";
        std::path::Path::new(p).exists().then(|| p.to_string())
    });
    name.map(|p| ask(env, Cmd::new([p.as_str(), "--puppet", "--json"]), "facter")).unwrap_or_default()
}

pub fn ohai(env: &mut Env) -> Facts {
    find_program(&env.ctx, "ohai").map(|p| ask(env, Cmd::new([p]), "ohai")).unwrap_or_default()
}

fn ask(env: &Env, cmd: Cmd, prefix: &str) -> Facts {
    match cmd.limit(env.timeout.max(std::time::Duration::from_secs(60))).run(&env.ctx) {
        Ok(o) if o.ok() => serde_json::from_slice::<Facts>(&o.stdout)
            .map(|m| m.into_iter().map(|(k, v): (String, Json)| (format!("{prefix}_{k}"), v)).collect())
            .unwrap_or_default(),
        _ => Facts::new(),
    }
}
