//! `lvg`: volume groups of LVM, through its command line.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/lvg_module.html>.

use super::support::exec::{self, Cmd, Output};
use super::support::shlex;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "lvg",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::str("vg").required().doc("The volume group's name."),
            Arg::list("pvs", Type::Str).doc("Devices that it consists of; needed to make or resize it."),
            Arg::str("pesize").default("4").doc("Size of an extent; megabytes, or with one of the units k, m and g."),
            Arg::str("pv_options").default("").doc("Further options of pvcreate."),
            Arg::bool("pvresize").default(false).doc("Let physical volumes take all of their device."),
            Arg::str("vg_options").default("").doc("Further options of vgcreate."),
            Arg::str("state").choices(&["absent", "present", "active", "inactive"]).default("present"),
            Arg::bool("force").default(false).doc("Remove a group that has logical volumes."),
            Arg::bool("reset_vg_uuid").default(false).doc("Give the group another UUID, at each run."),
            Arg::bool("reset_pv_uuid").default(false).doc("Give its physical volumes other UUIDs, at each run."),
            Arg::bool("remove_extra_pvs").default(true).doc("Remove devices that are not in `pvs`."),
        ])
        .required_if("reset_pv_uuid", true, &["pvs"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Configure LVM volume groups",
        run,
    }
}

/// What a tool says, each line's fields.
fn rows(o: &Output) -> Vec<Vec<String>> {
    let fields = |l: &str| l.trim().split(';').map(|f| f.trim().to_owned()).collect();
    o.out().lines().filter(|l| !l.trim().is_empty()).map(fields).collect()
}

fn field(row: &[String], n: usize) -> &str {
    row.get(n).map_or("", String::as_str)
}

/// The device itself, behind links.
fn real(device: &str) -> String {
    std::fs::canonicalize(device).map_or_else(|_| device.to_owned(), |p| p.to_string_lossy().into_owned())
}

struct Job<'a, 'c> {
    ctx: &'a Ctx<'c>,
    a: &'a Args,
    vg: &'a str,
    changed: bool,
}

impl Job<'_, '_> {
    fn tool(&self, name: &str, args: &[&str]) -> Result<Cmd, Failure> {
        Ok(Cmd::new([exec::need_program(self.ctx, name)?]).args(args.iter().copied()).c_locale())
    }
    fn ask(&self, name: &str, args: &[&str], failing: &str) -> Result<Output, Failure> {
        let o = self.tool(name, args)?.tried(self.ctx)?;
        if o.ok() { Ok(o) } else { Err(Failure::new(failing).set("rc", o.rc).set("err", o.err())) }
    }
    /// A change; `failing` says what could not be done, by default the tool itself.
    fn change(&mut self, name: &str, args: &[&str], failing: Option<String>) -> Result<(), Failure> {
        self.changed = true;
        if self.ctx.check {
            return Ok(());
        }
        match failing {
            Some(f) => self.ask(name, args, &f)?,
            None => self.tool(name, args)?.must(self.ctx)?,
        };
        Ok(())
    }
    /// Whether this LVM knows of groups that are not activated by themselves.
    fn knows_autoactivation(&self, tool: &str) -> Result<bool, Failure> {
        Ok(self.tool(tool, &["--help"])?.tried(self.ctx)?.out().contains("--setautoactivation"))
    }

    fn prepare(&mut self, devices: &[String]) -> Result<(), Failure> {
        let options = shlex::split(self.a.str("pv_options")).map_err(Failure::uncaught)?;
        for d in devices {
            let mut args: Vec<&str> = options.iter().map(String::as_str).collect();
            args.extend(["-f", d]);
            self.change("pvcreate", &args, Some(format!("Creating physical volume '{d}' failed")))?;
        }
        Ok(())
    }

    fn create(&mut self, devices: &[String]) -> Result<(), Failure> {
        self.prepare(devices)?;
        let options = shlex::split(self.a.str("vg_options")).map_err(Failure::uncaught)?;
        let mut args: Vec<&str> = options.iter().map(String::as_str).collect();
        let told = args.iter().any(|o| o.starts_with("--setautoactivation"));
        let auto = match self.a.str("state") {
            "active" => Some("y"),
            "inactive" => Some("n"),
            _ => None,
        };
        if let Some(auto) = auto.filter(|_| !told)
            && self.knows_autoactivation("vgcreate")?
        {
            args.extend(["--setautoactivation", auto]);
        }
        args.extend(["-s", self.a.str("pesize"), self.vg]);
        args.extend(devices.iter().map(String::as_str));
        self.change("vgcreate", &args, Some(format!("Creating volume group '{}' failed", self.vg)))
    }

    /// Activates or deactivates what the group has, now and for the next start of the system.
    fn activate(&mut self, on: bool) -> Result<(), Failure> {
        let flag = if on { "y" } else { "n" };
        let report = |fields| ["--noheadings", "-o", fields, "--separator", ";", self.vg];
        let unknown = "Failed executing vgs command.";
        if self.knows_autoactivation("vgchange")? {
            let o = self.ask("vgs", &report("autoactivation"), unknown)?;
            if (o.out().trim() == "enabled") != on {
                self.change("vgchange", &["--setautoactivation", flag, self.vg], None)?;
            }
        }
        let volumes = rows(&self.ask("vgs", &report("lv_attr"), unknown)?);
        let active = |r: &Vec<String>| field(r, 0).chars().nth(4) == Some('a');
        if volumes.iter().any(|r| active(r) != on) {
            self.change("vgchange", &["--activate", flag, self.vg], None)?;
        }
        Ok(())
    }

    /// Lets a physical volume take the whole of its device.
    fn grow(&mut self, device: &str) -> Result<(), Failure> {
        let fields = "dev_size,pv_size,pe_start,vg_extent_size";
        let args =
            [device, "--units", "b", "--columns", "--noheadings", "--nosuffix", "--separator", ";", "-o", fields];
        let o = self.ask("pvdisplay", &args, "Failed executing pvdisplay command.")?;
        let row = rows(&o).into_iter().next().unwrap_or_default();
        let number = |n| field(&row, n).parse::<u64>().unwrap_or(0);
        let (whole, now, start, extent) = (number(0), number(1), number(2), number(3));
        let extents = whole.saturating_sub(start).checked_div(extent).unwrap_or(0);
        if extents.saturating_mul(extent) > now {
            self.change("pvresize", &[device], Some(format!("Failed executing pvresize command on {device}.")))?;
        }
        Ok(())
    }

    /// Brings the group's devices to those that are named.
    fn devices(&mut self, named: &[String], there: &[String]) -> Result<(), Failure> {
        let has = |all: &[String], d: &String| all.iter().any(|x| real(x) == real(d));
        let kept: Vec<String> = there.iter().filter(|d| has(named, d)).cloned().collect();
        let new: Vec<String> = named.iter().filter(|d| !has(there, d)).cloned().collect();
        let gone: Vec<String> = match self.a.bool("remove_extra_pvs") {
            true => there.iter().filter(|d| !has(named, d)).cloned().collect(),
            false => vec![],
        };
        for d in &kept {
            if self.a.bool("pvresize") {
                self.grow(d)?;
            }
        }
        for d in &kept {
            if self.a.bool("reset_pv_uuid") {
                self.change("pvchange", &["-u", d], None)?;
            }
        }
        for (list, tool, option, verb, word) in
            [(&new, "vgextend", None, "extend", "by"), (&gone, "vgreduce", Some("--force"), "reduce", "by")]
        {
            if list.is_empty() {
                continue;
            }
            if tool == "vgextend" {
                self.prepare(list)?;
            }
            let mut args: Vec<&str> = option.into_iter().chain([self.vg]).collect();
            args.extend(list.iter().map(String::as_str));
            let failing = format!("Unable to {verb} {} {word} {}.", self.vg, list.join(" "));
            self.change(tool, &args, Some(failing))?;
        }
        Ok(())
    }
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let (vg, state) = (a.str("vg"), a.str("state"));
    for (name, text) in std::iter::once(("vg", vg.to_owned())).chain(a.strings("pvs").into_iter().map(|d| ("pvs", d))) {
        if text.is_empty() || text.starts_with('-') {
            return Err(format!("'{text}' is no name for {name}").into());
        }
    }
    let mut job = Job { ctx, a, vg, changed: false };
    let report = ["--noheadings", "-o", "vg_name,pv_count,lv_count", "--separator", ";"];
    let groups = rows(&job.ask("vgs", &report, "Failed executing vgs command.")?);
    let group = groups.iter().find(|g| field(g, 0) == vg);
    if state == "absent" {
        if let Some(g) = group {
            if field(g, 2) != "0" && !a.bool("force") {
                return Err(format!("Refuse to remove non-empty volume group {vg} without force=true").into());
            }
            job.change("vgremove", &["--force", vg], Some(format!("Failed to remove volume group {vg}")))?;
        }
        return Ok(Outcome::changed(job.changed));
    }
    let named: Vec<String> = a.strings("pvs");
    if group.is_none() && named.is_empty() {
        return Err("No physical volumes given.".into());
    }
    if let Some(d) = named.iter().find(|d| !Path::new(d.as_str()).exists()) {
        return Err(format!("Device {d} not found.").into());
    }
    let report = ["--noheadings", "-o", "pv_name,vg_name", "--separator", ";"];
    let volumes = rows(&job.ask("pvs", &report, "Failed executing pvs command.")?);
    let other = |v: &&Vec<String>| !matches!(field(v, 1), "") && field(v, 1) != vg;
    let taken = |v: &&Vec<String>| named.iter().any(|d| real(d) == real(field(v, 0)));
    if let Some(v) = volumes.iter().filter(other).find(taken) {
        return Err(format!("Device {} is already in {} volume group.", field(v, 0), field(v, 1)).into());
    }
    let named: Vec<String> = named.iter().map(|d| real(d)).collect();
    if group.is_none() {
        job.create(&named)?;
    } else {
        if state != "present" {
            job.activate(state == "active")?;
        }
        if a.bool("reset_vg_uuid") {
            job.change("vgchange", &["-u", vg], None)?;
        }
        if !named.is_empty() {
            let there: Vec<String> =
                volumes.iter().filter(|v| field(v, 1) == vg).map(|v| field(v, 0).to_owned()).collect();
            job.devices(&named, &there)?;
        }
    }
    Ok(Outcome::changed(job.changed))
}

#[cfg(test)]
mod tests {
    use crate::modules::support::toolkit::Tools;
    use serde_json::{Value as Json, json};

    /// A host with one group of two devices (one of them larger than its volume) and a logical volume that is active.
    fn host() -> Tools {
        let t = Tools::new("lvg");
        let (a, b, c) = (t.device("a"), t.device("b"), t.device("c"));
        t.says("vgs", "case \"$*\" in *lv_attr*) echo '  -wi-a-----';; *-o\\ autoactivation*) echo '  enabled';; *) echo '  tvg;2;1';  echo '  old;1;0';; esac");
        t.says("pvs", &format!("echo '  {a};tvg'; echo '  {b};tvg'; echo '  {c};old'"));
        t.says("pvdisplay", "case $1 in *a) echo '  100;40;20;20';; *) echo '  100;80;20;20';; esac");
        for tool in ["vgcreate", "vgchange"] {
            t.says(tool, "[ $1 != --help ] || echo --setautoactivation");
        }
        for tool in ["pvcreate", "vgextend", "vgreduce", "vgremove", "pvresize", "pvchange"] {
            t.says(tool, "");
        }
        t
    }
    /// The changes that the task makes, or its failure.
    fn did(args: Json) -> String {
        let t = host();
        t.device("d");
        let mut told = t.call(args.clone(), false);
        told.retain(|l| {
            !["vgs", "pvs", "pvdisplay"].iter().any(|q| l.starts_with(&format!("{q} "))) && !l.ends_with("--help")
        });
        let t = host();
        t.device("d");
        let quiet =
            |l: &String| ["vgs ", "pvs ", "pvdisplay "].iter().any(|q| l.starts_with(q)) || l.ends_with("--help");
        let left: Vec<String> = t.call(args, true).into_iter().filter(|l| !quiet(l) && l != "changed").collect();
        assert!(left.is_empty() || told == left, "a check run changed something: {left:?}");
        told.join("\n")
    }

    #[test]
    fn groups() {
        assert_eq!(did(json!({"vg": "tvg"})), "");
        assert_eq!(did(json!({"vg": "tvg", "pvs": "$D/a,$D/b"})), "");
        assert_eq!(did(json!({"vg": "tvg", "pvs": "$D/a,$D/b", "pvresize": true})), "pvresize $D/a\nchanged");
        assert_eq!(
            did(json!({"vg": "tvg", "pvs": ["$D/a", "$D/d"], "pv_options": "-x 'y z'"})),
            "pvcreate -x y z -f $D/d\nvgextend tvg $D/d\nvgreduce --force tvg $D/b\nchanged"
        );
        assert_eq!(did(json!({"vg": "tvg", "pvs": ["$D/a"], "remove_extra_pvs": false})), "");
        assert_eq!(
            did(json!({"vg": "new", "pvs": ["$D/d"], "pesize": "8", "vg_options": "-p 3", "state": "inactive"})),
            "pvcreate -f $D/d\nvgcreate -p 3 --setautoactivation n -s 8 new $D/d\nchanged"
        );
        assert_eq!(did(json!({"vg": "tvg", "state": "active"})), "");
        assert_eq!(
            did(json!({"vg": "tvg", "state": "inactive", "reset_vg_uuid": true})),
            "vgchange --setautoactivation n tvg\nvgchange --activate n tvg\nvgchange -u tvg\nchanged"
        );
        assert_eq!(
            did(json!({"vg": "tvg", "pvs": "$D/a,$D/b", "reset_pv_uuid": true})),
            "pvchange -u $D/a\npvchange -u $D/b\nchanged"
        );
        assert_eq!(did(json!({"vg": "old", "state": "absent"})), "vgremove --force old\nchanged");
        assert_eq!(did(json!({"vg": "tvg", "state": "absent", "force": true})), "vgremove --force tvg\nchanged");
        assert_eq!(did(json!({"vg": "none", "state": "absent"})), "");
    }

    #[test]
    fn refusals() {
        for (args, words) in [
            (json!({"vg": "tvg", "state": "absent"}), "Refuse to remove non-empty volume group tvg without force=true"),
            (json!({"vg": "none"}), "No physical volumes given."),
            (json!({"vg": "none", "pvs": "/dev/nosuch"}), "Device /dev/nosuch not found."),
            (json!({"vg": "tvg", "pvs": "$D/c"}), "Device $D/c is already in old volume group."),
            (json!({"vg": "-x"}), "'-x' is no name for vg"),
        ] {
            assert_eq!(did(args), words);
        }
    }
}
