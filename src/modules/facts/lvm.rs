//! Volume groups, logical and physical volumes, as lvm2's tools list them to root.

use super::{Env, Facts, obj};
use crate::modules::Ctx;
use crate::modules::support::exec::{Cmd, find_program};
use serde_json::{Map, Value as Json, json};
use std::thread::Builder;
use std::time::Duration;

type Rows = Vec<Vec<String>>;

fn rows(env: &[(String, String)], tool: &str, columns: &str) -> Option<Rows> {
    let ctx = Ctx { env: env.to_vec(), ..Ctx::bare() };
    let p = find_program(&ctx, tool)?;
    let args = ["--noheadings", "--nosuffix", "--units", "g", "--separator", ",", "-o", columns];
    let o = Cmd::new([p.as_str()]).args(args).c_locale().limit(Duration::from_secs(30)).run(&ctx).ok()?;
    let out = o.out();
    Some(out.lines().map(|l| l.trim().split(',').map(|c| c.trim().to_string()).collect()).collect())
}

pub fn lvm(env: &mut Env) -> Facts {
    let none = || obj([("lvm", "N/A".into())]);
    if !nix::unistd::geteuid().is_root() || find_program(&env.ctx, "vgs").is_none() {
        return none();
    }
    let asked = [
        ("vgs", "vg_name,pv_count,lv_count,vg_size,vg_free"),
        ("lvs", "lv_name,vg_name,lv_size"),
        ("pvs", "pv_name,vg_name,pv_size,pv_free"),
    ];
    // each looks through all devices, and waits more than it works
    let env = env.ctx.env.as_slice();
    let [groups, volumes, physical] = std::thread::scope(|scope| {
        let begun = asked.map(|(tool, columns)| {
            (tool, columns, Builder::new().spawn_scoped(scope, move || rows(env, tool, columns)))
        });
        begun.map(|(tool, columns, thread)| match thread {
            Ok(thread) => thread.join().ok().flatten(),
            Err(_) => rows(env, tool, columns),
        })
    })
    .map(Option::unwrap_or_default);
    let (mut vgs, mut lvs, mut pvs) = (Map::new(), Map::new(), Map::new());
    for r in groups {
        if let [name, np, nl, size, free] = r.as_slice() {
            vgs.insert(name.clone(), json!({"size_g": size, "free_g": free, "num_lvs": nl, "num_pvs": np}));
        }
    }
    for r in volumes {
        if let [name, vg, size] = r.as_slice() {
            lvs.insert(name.clone(), json!({"size_g": size, "vg": vg}));
        }
    }
    for r in physical {
        if let [name, vg, size, free] = r.as_slice() {
            pvs.insert(name.clone(), json!({"size_g": size, "free_g": free, "vg": vg}));
        }
    }
    let all = obj([("lvs", Json::Object(lvs)), ("vgs", Json::Object(vgs)), ("pvs", Json::Object(pvs))]);
    obj([("lvm", Json::Object(all))])
}
