//! `lvol`: logical volumes of LVM, through its command line.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/lvol_module.html>.

use super::support::exec::{self, Cmd, Output};
use super::support::shlex;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};

pub fn module() -> Module {
    Module {
        name: "lvol",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::str("vg").required().doc("The volume group."),
            Arg::str("lv").doc("The logical volume."),
            Arg::str("size").doc(
                "Its size: megabytes, or with a unit of lvcreate, or a percentage of VG, PVS, FREE or ORIGIN; with `+` \
                 or `-` a change of it.",
            ),
            Arg::str("opts").doc("Further options of lvcreate."),
            Arg::str("state").choices(&["absent", "present"]).default("present"),
            Arg::bool("force").default(false).doc("Allow shrinking and removing."),
            Arg::bool("shrink").default(true).doc("Shrink what is larger than wanted."),
            Arg::bool("active").default(true).doc("Whether the volume shall be there for the host."),
            Arg::str("snapshot").doc("A snapshot of the volume, which is meant instead of it."),
            Arg::list("pvs", Type::Str).doc("Devices that the volume shall lie on."),
            Arg::bool("resizefs").default(false).doc("Resize the file system, too."),
            Arg::str("thinpool").doc("A thin pool: the volume lies in it, or without `lv` it is meant itself."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Configure LVM logical volumes",
        run,
    }
}

/// A size as a task gives it.
#[derive(Clone, Debug, PartialEq)]
struct Size {
    /// `+`, `-` or nothing.
    sign: &'static str,
    /// The number as it is written.
    number: String,
    value: f64,
    /// A letter as LVM's `--units` takes it, `m` for percentages.
    unit: String,
    /// What a percentage is of.
    of: Option<String>,
}

impl Size {
    fn parse(text: &str, snapshot: bool) -> Result<Size, Failure> {
        let text = text.trim();
        let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(r), _) => ("+", r),
            (_, Some(r)) => ("-", r),
            _ => ("", text),
        };
        let bad = |t: &str| Failure::new(format!("Bad size specification of '{t}'"));
        let value = |t: &str| t.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        if let Some((percent, of)) = rest.split_once('%') {
            let value = value(percent)
                .filter(|_| percent.starts_with(|c: char| c.is_ascii_digit()))
                .ok_or_else(|| bad(text))?;
            if value > 100.0 {
                return Err("Size percentage cannot be larger than 100%".into());
            }
            return match of {
                "ORIGIN" if !snapshot => Err("Percentage of ORIGIN supported only for snapshot volumes".into()),
                "VG" | "PVS" | "FREE" | "ORIGIN" => {
                    Ok(Size { sign, number: percent.into(), value, unit: "m".into(), of: Some(of.into()) })
                }
                _ => Err("Specify extents as a percentage of VG|PVS|FREE|ORIGIN".into()),
            };
        }
        let (number, unit) = match rest.char_indices().last() {
            Some((at, c)) if "bskmgtpe".contains(c.to_ascii_lowercase()) => {
                (rest.get(..at).unwrap_or("").trim_end(), c)
            }
            _ => (rest, 'm'),
        };
        let digit = number.starts_with(|c: char| c.is_ascii_digit());
        let value = value(number).filter(|_| digit).ok_or_else(|| bad(number))?;
        Ok(Size { sign, number: number.into(), value, unit: unit.into(), of: None })
    }
    /// The option of LVM's tools for this size; with its sign for changes.
    fn option(&self, signed: bool) -> [String; 2] {
        let sign = if signed { self.sign } else { "" };
        match &self.of {
            Some(of) => ["-l".into(), format!("{sign}{}%{of}", self.number)],
            None => ["-L".into(), format!("{sign}{}{}", self.number, self.unit)],
        }
    }
    fn shown(&self) -> String {
        self.option(true).into_iter().nth(1).unwrap_or_default()
    }
}

/// A volume as `lvs` tells it.
#[derive(Clone, Debug, PartialEq)]
struct Volume {
    name: String,
    size: f64,
    attr: String,
}

impl Volume {
    fn active(&self) -> bool {
        self.attr.chars().nth(4) == Some('a')
    }
}

fn volumes(text: &str) -> Vec<Volume> {
    let parse = |l: &str| {
        let mut f = l.trim().split(';');
        let name = f.next()?.trim_matches(['[', ']']).to_owned();
        Some(Volume { name, size: f.next()?.parse().ok()?, attr: f.next().unwrap_or("").to_owned() })
    };
    text.lines().filter_map(parse).collect()
}

/// Size, free space and size of an extent of the group, as `vgs` tells them.
fn group(text: &str, vg: &str) -> Option<(f64, f64, f64)> {
    text.lines().find_map(|l| {
        let mut f = l.trim().split(';');
        let mut number = (f.next()? == vg).then_some(f)?.map(|n| n.parse().ok());
        Some((number.next()??, number.next()??, number.next()??))
    })
}

struct Job<'a, 'c> {
    ctx: &'a Ctx<'c>,
    a: &'a Args,
    vg: &'a str,
}

impl Job<'_, '_> {
    fn call(&self, tool: &str, args: &[String]) -> Result<Output, Failure> {
        Cmd::new([exec::need_program(self.ctx, tool)?]).args(args.iter().cloned()).c_locale().tried(self.ctx)
    }
    fn must(&self, tool: &str, args: &[String], failing: &str) -> Result<(), Failure> {
        let o = self.call(tool, args)?;
        if o.ok() { Ok(()) } else { Err(told(failing, &o)) }
    }
    fn test(&self) -> Option<String> {
        self.ctx.check.then(|| "--test".into())
    }
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.vg)
    }

    fn create(&self, lv: Option<&str>, size: &Size) -> Result<(), Failure> {
        let (snapshot, pool) = (self.a.opt_str("snapshot"), self.a.opt_str("thinpool"));
        if size.sign == "-" {
            return Err(format!("Bad size specification of '-{}' for creating LV", size.number).into());
        }
        let mut args: Vec<String> = self.test().into_iter().chain(["--yes".into()]).collect();
        let opts = shlex::split(self.a.str("opts")).map_err(Failure::uncaught)?;
        let named = |n: &str| ["-n".to_owned(), n.to_owned()];
        let target = match (snapshot, pool, lv) {
            (Some(s), _, _) => {
                args.extend(size.option(false));
                args.push("-s".into());
                args.extend(named(s));
                vec![self.path(lv.unwrap_or(""))]
            }
            (None, Some(p), Some(name)) => {
                if size.of.is_some() {
                    return Err("Thin volume sizing with percentage not supported.".into());
                }
                args.extend(named(name));
                args.extend(["-V".to_owned(), format!("{}{}", size.number, size.unit)]);
                vec!["-T".into(), self.path(p)]
            }
            (None, Some(p), None) => {
                args.extend(size.option(false));
                vec!["-T".into(), self.path(p)]
            }
            (None, None, _) => {
                args.extend(named(lv.unwrap_or("")));
                args.extend(size.option(false));
                vec![self.vg.to_owned()]
            }
        };
        args.extend(opts);
        args.extend(target);
        args.extend(self.a.strings("pvs"));
        let what = lv.or(pool).unwrap_or("");
        self.must("lvcreate", &args, &format!("Creating logical volume '{what}' failed"))?;
        let new = snapshot.or(lv).or(pool).unwrap_or("");
        if !self.a.bool("active") && !self.ctx.check {
            self.switch(new, false)?;
        }
        Ok(())
    }

    fn switch(&self, name: &str, on: bool) -> Result<(), Failure> {
        let (flag, word) = if on { ("-ay", "activate") } else { ("-an", "deactivate") };
        self.must("lvchange", &[flag.into(), self.path(name)], &format!("Failed to {word} logical volume {name}"))
    }

    /// Brings a volume to its size; tells whether that changed it.
    fn resize(
        &self,
        v: &Volume,
        size: &Size,
        whole: f64,
        free: f64,
        extent: f64,
        origin: f64,
    ) -> Result<bool, Failure> {
        let amount = match size.of.as_deref() {
            None => size.value,
            Some("FREE") => size.value * free / 100.0,
            Some("ORIGIN") => size.value * origin / 100.0,
            Some(_) => size.value * whole / 100.0,
        };
        let wanted = match size.sign {
            "+" => v.size + amount,
            "-" => v.size - amount,
            _ => amount,
        };
        // a percentage is seldom whole extents; LVM rounds up when it shrinks and down when it grows
        let extents = |n: f64| if extent > 0.0 { n * extent } else { wanted };
        let (low, high) = match size.of {
            Some(_) if extent > 0.0 => (extents((wanted / extent).floor()), extents((wanted / extent).ceil())),
            _ => (wanted, wanted),
        };
        let name = v.name.as_str();
        let mut args: Vec<String> = vec![];
        let tool = if low > v.size {
            "lvextend"
        } else if high < v.size && (self.a.bool("shrink") || size.sign == "-") {
            if wanted < 1.0 {
                return Err(format!("Sorry, no shrinking of {name} to 0 permitted.").into());
            }
            if !self.a.bool("force") {
                let end = if size.of.is_some() { "" } else { "." };
                return Err(format!("Sorry, no shrinking of {name} without force=true{end}").into());
            }
            args.push("--force".into());
            "lvreduce"
        } else {
            return Ok(false);
        };
        if self.a.bool("resizefs") {
            args.push("--resizefs".into());
        }
        args.extend(self.test());
        args.extend(size.option(true));
        args.push(self.path(name));
        args.extend(self.a.strings("pvs"));
        let o = self.call(tool, &args)?;
        if o.ok() {
            return Ok(true);
        }
        let same = ["matches existing size", "not larger than existing size"];
        if same.iter().any(|s| o.err().contains(s)) {
            return Ok(false);
        }
        Err(told(&format!("Unable to resize {name} to {}", size.shown()), &o))
    }
}

fn told(msg: &str, o: &Output) -> Failure {
    Failure::new(msg).set("rc", o.rc).set("err", o.err())
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let (vg, present) = (a.str("vg"), a.str("state") == "present");
    let lv = a.opt_str("lv").map(|n| n.rsplit('/').next().unwrap_or(n));
    let (snapshot, pool) = (a.opt_str("snapshot"), a.opt_str("thinpool"));
    let Some(target) = snapshot.or(lv).or(pool) else {
        return Err("You must specify lv (when managing the state of logical volumes) or thinpool (when managing a thin provisioned volume).".into());
    };
    for (key, name) in [("vg", Some(vg)), ("lv", lv), ("snapshot", snapshot), ("thinpool", pool)] {
        if let Some(n) = name.filter(|n| n.is_empty() || n.starts_with('-')) {
            return Err(format!("'{n}' is no name for {key}").into());
        }
    }
    let size = a.opt_str("size").filter(|_| present).map(|s| Size::parse(s, snapshot.is_some())).transpose()?;
    let unit = size.as_ref().map_or("m", |s| s.unit.as_str());
    let job = Job { ctx, a, vg };
    let report = |fields: &str, all: &[&str]| -> Vec<String> {
        let fixed = ["--noheadings", "--nosuffix", "-o", fields, "--units", unit, "--separator", ";", vg];
        all.iter().chain(&fixed).map(|s| s.to_string()).collect()
    };
    let o = job.call("vgs", &report("vg_name,size,free,vg_extent_size", &[]))?;
    let Some((whole, free, extent)) = group(&o.out(), vg).filter(|_| o.ok()) else {
        let missing = format!("Volume group {vg} does not exist.");
        return if present { Err(told(&missing, &o)) } else { Ok(Outcome::ok().set("stdout", missing)) };
    };
    let o = job.call("lvs", &report("lv_name,size,lv_attr", &["-a"]))?;
    if !o.ok() {
        let missing = format!("Volume group {vg} does not exist.");
        return if present { Err(told(&missing, &o)) } else { Ok(Outcome::ok().set("stdout", missing)) };
    }
    let all = volumes(&o.out());
    let find = |name: &str| all.iter().find(|v| v.name == name);
    let origin = lv.and_then(&find);
    if snapshot.is_some() && present {
        let name = lv.unwrap_or("None");
        if origin.is_none() {
            return Err(format!("Snapshot origin LV {name} does not exist in volume group {vg}.").into());
        }
        if pool.is_some() {
            return Err("Snapshots of thin pool LVs are not supported.".into());
        }
    } else if let (Some(p), Some(_), true) = (pool, lv, present)
        && !find(p).is_some_and(|v| v.attr.starts_with('t'))
    {
        return Err(format!("Thin pool LV {p} does not exist in volume group {vg}.").into());
    }
    let there = find(target);
    if !present {
        let Some(v) = there else { return Ok(Outcome::ok().msg("")) };
        if !a.bool("force") {
            return Err(format!("Sorry, no removal of logical volume {} without force=true.", v.name).into());
        }
        let args: Vec<String> = job.test().into_iter().chain(["--force".into(), job.path(&v.name)]).collect();
        job.must("lvremove", &args, &format!("Failed to remove logical volume {}", v.name))?;
        return Ok(Outcome::changed(true));
    }
    let Some(v) = there else {
        let Some(size) = &size else { return Err("No size given.".into()) };
        job.create(lv, size)?;
        return Ok(Outcome::changed(true).msg(""));
    };
    if pool.is_some() && lv.is_some() && size.as_ref().is_some_and(|s| s.of.is_some()) {
        return Err("Thin volume sizing with percentage not supported.".into());
    }
    let mut changed = match &size {
        Some(s) => job.resize(v, s, whole, free, extent, origin.map_or(0.0, |o| o.size))?,
        None => false,
    };
    let on = a.bool("active");
    if v.active() != on {
        changed = true;
        if !ctx.check {
            job.switch(&v.name, on)?;
        }
    }
    Ok(Outcome::changed(changed).set("vg", vg).set("lv", v.name.as_str()).set("size", v.size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::toolkit::Tools;
    use serde_json::{Value as Json, json};

    const LVS: &str = "  a;12.00;-wi-a-----
  old;4.00;swi-a-s---
  idle;12.00;-wi-------
  [lvol0_pmspare];4.00;ewi-------
  tp;40.00;twi-aotz--
  th;40.00;Vwi-a-tz--";

    /// The tools' calls that change something, or the failure; in a check run they only test.
    fn did_in(mut args: Json, check: bool) -> String {
        args["vg"] = "tvg".into();
        let t = Tools::new("lvol");
        t.says("vgs", "echo '  tvg;152.00;40.00;4.00'");
        t.says("lvs", &format!("cat <<X\n{LVS}\nX"));
        for tool in ["lvcreate", "lvreduce", "lvremove", "lvchange"] {
            t.says(tool, "");
        }
        t.says("lvextend", "case \"$*\" in *13m*) echo 'New size matches existing size' >&2; exit 5;; *99*) echo no >&2; exit 5;; esac");
        let calls = t.call(args, check);
        let asked = |l: &String| l.starts_with("vgs ") || l.starts_with("lvs ");
        calls.into_iter().filter(|l| !asked(l)).collect::<Vec<_>>().join("\n")
    }
    fn did(args: Json) -> String {
        did_in(args, false)
    }

    #[test]
    fn new_volumes() {
        assert_eq!(
            did(json!({"lv": "n", "size": "8", "opts": "-r '1 6'", "pvs": ["/dev/x"]})),
            "lvcreate --yes -n n -L 8m -r 1 6 tvg /dev/x\nchanged"
        );
        assert_eq!(
            did(json!({"lv": "tvg/n", "size": "+10%FREE", "active": false})),
            "lvcreate --yes -n n -l 10%FREE tvg\nlvchange -an tvg/n\nchanged"
        );
        assert_eq!(did_in(json!({"lv": "n", "size": "8g"}), true), "lvcreate --test --yes -n n -L 8g tvg\nchanged");
        assert_eq!(
            did(json!({"lv": "a", "snapshot": "s", "size": "20%ORIGIN"})),
            "lvcreate --yes -l 20%ORIGIN -s -n s tvg/a\nchanged"
        );
        assert_eq!(did(json!({"thinpool": "p2", "size": "8m"})), "lvcreate --yes -L 8m -T tvg/p2\nchanged");
        assert_eq!(
            did(json!({"lv": "t2", "thinpool": "tp", "size": "8g"})),
            "lvcreate --yes -n t2 -V 8g -T tvg/tp\nchanged"
        );
    }

    #[test]
    fn sizes() {
        let a = |size: &str| did(json!({"lv": "a", "size": size, "force": true}));
        assert_eq!((a("12"), a("10%VG"), a("13m")), (String::new(), String::new(), "lvextend -L 13m tvg/a".into()));
        assert_eq!(a("16"), "lvextend -L 16m tvg/a\nchanged");
        assert_eq!(a("+4M"), "lvextend -L +4M tvg/a\nchanged");
        assert_eq!(a("8"), "lvreduce --force -L 8m tvg/a\nchanged");
        assert_eq!(a("-4m"), "lvreduce --force -L -4m tvg/a\nchanged");
        assert_eq!(a("100%FREE"), "lvextend -l 100%FREE tvg/a\nchanged");
        assert_eq!(a("5%VG"), "lvreduce --force -l 5%VG tvg/a\nchanged");
        assert_eq!(did(json!({"lv": "a", "size": "8", "shrink": false})), "");
        assert_eq!(
            did_in(json!({"lv": "a", "size": "20m", "resizefs": true, "pvs": ["/dev/x"]}), true),
            "lvextend --resizefs --test -L 20m tvg/a /dev/x\nchanged"
        );
        for (size, words) in [
            ("16x", "Bad size specification of '16x'"),
            (".5m", "Bad size specification of '.5'"),
            ("120%VG", "Size percentage cannot be larger than 100%"),
            ("10%FOO", "Specify extents as a percentage of VG|PVS|FREE|ORIGIN"),
            ("10%ORIGIN", "Percentage of ORIGIN supported only for snapshot volumes"),
            ("0", "Sorry, no shrinking of a to 0 permitted."),
            ("99", "Unable to resize a to 99m"),
        ] {
            assert_eq!(a(size), words);
        }
        assert_eq!(did(json!({"lv": "a", "size": "8"})), "Sorry, no shrinking of a without force=true.");
    }

    #[test]
    fn what_is_there() {
        assert_eq!(did(json!({"lv": "a"})), "");
        assert_eq!(did(json!({"lv": "a", "active": false})), "lvchange -an tvg/a\nchanged");
        assert_eq!(did(json!({"lv": "idle"})), "lvchange -ay tvg/idle\nchanged");
        assert_eq!(did_in(json!({"lv": "idle"}), true), "changed");
        assert_eq!(
            did(json!({"lv": "a", "snapshot": "old", "state": "absent", "force": true})),
            "lvremove --force tvg/old\nchanged"
        );
        assert_eq!(
            did_in(json!({"lv": "a", "state": "absent", "force": true}), true),
            "lvremove --test --force tvg/a\nchanged"
        );
        assert_eq!(did(json!({"lv": "gone", "state": "absent"})), "");
        for (args, words) in [
            (json!({"lv": "n"}), "No size given."),
            (json!({"lv": "n", "size": "-3m"}), "Bad size specification of '-3' for creating LV"),
            (json!({"lv": "a", "state": "absent"}), "Sorry, no removal of logical volume a without force=true."),
            (
                json!({"lv": "n", "snapshot": "s", "size": "1"}),
                "Snapshot origin LV n does not exist in volume group tvg.",
            ),
            (json!({"lv": "n", "thinpool": "a", "size": "1"}), "Thin pool LV a does not exist in volume group tvg."),
            (
                json!({"lv": "th", "thinpool": "tp", "size": "1%VG"}),
                "Thin volume sizing with percentage not supported.",
            ),
            (
                json!({"lv": "a", "thinpool": "tp", "snapshot": "s", "size": "1"}),
                "Snapshots of thin pool LVs are not supported.",
            ),
            (json!({"lv": "--help", "size": "1"}), "'--help' is no name for lv"),
        ] {
            assert_eq!(did(args), words);
        }
        assert_eq!(volumes(LVS).iter().map(|v| v.name.as_str()).nth(3), Some("lvol0_pmspare"));
    }
}
