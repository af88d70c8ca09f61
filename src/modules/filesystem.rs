//! `filesystem` (community.general): makes, grows and wipes file systems.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/filesystem_module.html>. bcachefs and
//! FreeBSD's ufs are not here.

use super::support::exec::{self, Cmd};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

const TYPES: &[&str] =
    &["btrfs", "ext2", "ext3", "ext4", "ext4dev", "f2fs", "lvm", "ocfs2", "reiserfs", "xfs", "vfat", "swap"];

pub fn module() -> Module {
    Module {
        name: "filesystem",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::str("state").choices(&["present", "absent"]).default("present"),
            Arg::str("fstype").aliases(&["type"]).choices(TYPES).doc("The kind of file system."),
            Arg::path("dev").required().aliases(&["device"]).doc("A block device or an image in a file."),
            Arg::str("opts").doc("Options for mkfs, parted at blanks."),
            Arg::bool("force").default(false).doc("Make a new file system over one that is there."),
            Arg::bool("resizefs").default(false).doc("Grow the file system to the size of the device."),
            Arg::str("uuid").doc("The file system's UUID, in the words of the type's own tool; always a change."),
        ])
        .required_if("state", "present", &["fstype"])
        .exclusive(&["resizefs", "uuid"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Makes a filesystem",
        run,
    }
}

/// What is known of a type: its name in messages, how it is made, and with which option over another one.
struct Kind {
    shown: &'static str,
    mkfs: &'static str,
    always: &'static [&'static str],
    force: &'static [&'static str],
    /// As blkid calls it.
    found_as: &'static str,
}

fn kind(fstype: &str) -> Option<Kind> {
    let k = |shown, mkfs, always, force, found_as| Some(Kind { shown, mkfs, always, force, found_as });
    match fstype {
        "btrfs" => k("Btrfs", "mkfs.btrfs", &[], &["-f"], "btrfs"),
        "ext2" => k("Ext2", "mkfs.ext2", &[], &["-F"], "ext2"),
        "ext3" => k("Ext3", "mkfs.ext3", &[], &["-F"], "ext3"),
        "ext4" => k("Ext4", "mkfs.ext4", &[], &["-F"], "ext4"),
        "ext4dev" => k("Ext4", "mkfs.ext4", &[], &["-F"], "ext4"),
        "f2fs" => k("F2fs", "mkfs.f2fs", &[], &["-f"], "f2fs"),
        "lvm" => k("LVM", "pvcreate", &[], &["-f", "-y"], "LVM2_member"),
        "ocfs2" => k("Ocfs2", "mkfs.ocfs2", &[], &["-Fx"], "ocfs2"),
        "reiserfs" => k("Reiserfs", "mkfs.reiserfs", &["-q"], &["-q"], "reiserfs"),
        "xfs" => k("XFS", "mkfs.xfs", &[], &["-f"], "xfs"),
        "vfat" => k("VFAT", "mkfs.vfat", &[], &[], "vfat"),
        "swap" => k("Swap", "mkswap", &[], &["-f"], "swap"),
        _ => None,
    }
}

struct Device<'a, 'c> {
    ctx: &'a Ctx<'c>,
    path: &'a str,
}

impl Device<'_, '_> {
    fn tool(&self, name: &str) -> Result<String, Failure> {
        exec::need_program(self.ctx, name)
    }
    fn ask(&self, tool: &str, words: &[&str]) -> Result<String, Failure> {
        Ok(Cmd::new([self.tool(tool)?]).args(words.iter().copied()).c_locale().run_ok(self.ctx)?.out())
    }
    /// What is on the device, in blkid's words; "" for nothing that it knows.
    fn found(&self) -> Result<String, Failure> {
        let tool = self.tool("blkid")?;
        let words = ["-c", "/dev/null", "-o", "value", "-s", "TYPE", self.path];
        // blkid ends with 2 where it finds nothing
        let out = Cmd::new([tool]).args(words).c_locale().run(self.ctx)?;
        Ok(if out.ok() { out.out().trim().to_owned() } else { String::new() })
    }
    fn size(&self) -> Result<u64, Failure> {
        let meta = std::fs::metadata(self.path)?;
        if meta.file_type().is_block_device() {
            return number(&self.ask("blockdev", &["--getsize64", self.path])?);
        }
        Ok(meta.len())
    }
    fn mount_point(&self) -> Result<Option<String>, Failure> {
        let tool = self.tool("findmnt")?;
        let words = ["--mtab", "--noheadings", "--output", "TARGET", "--source", self.path];
        let out = Cmd::new([tool]).args(words).c_locale().run(self.ctx)?;
        Ok(out.out().lines().next().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned))
    }
    fn need_mount(&self, shown: &str) -> Result<String, Failure> {
        self.mount_point()?
            .ok_or_else(|| Failure::new(format!("{} needs to be mounted for {shown} operations", self.path)))
    }

    /// The size of the file system in bytes, and the size of the step in which it grows.
    fn used(&self, fstype: &str, k: &Kind) -> Result<(u64, u64), Failure> {
        match fstype {
            "ext2" | "ext3" | "ext4" | "ext4dev" => {
                let text = self.ask("dumpe2fs", &["-h", self.path])?;
                let block = field(&text, "Block size:")?;
                Ok((field(&text, "Block count:")? * block, block))
            }
            "xfs" => {
                let at = self.mount_point()?.unwrap_or_else(|| self.path.to_owned());
                let text = self.ask("xfs_info", &[&at])?;
                let data = text.lines().find(|l| l.starts_with("data ")).unwrap_or_default();
                let block = pair(data, "bsize=")?;
                Ok((pair(data, "blocks=")? * block, block))
            }
            "btrfs" => {
                let at = self.need_mount(k.shown)?;
                let text = self.ask("btrfs", &["filesystem", "show", "--raw", &at])?;
                let line = text.lines().find(|l| l.trim_end().ends_with(self.path)).unwrap_or_default();
                let size = line.split_whitespace().skip_while(|w| *w != "size").nth(1).unwrap_or_default();
                Ok((number(size)?, 4096))
            }
            "f2fs" => {
                let text = self.ask("dump.f2fs", &[self.path])?;
                let sector = bracketed(&text, "Info: sector size = ")?;
                Ok((bracketed(&text, "Info: total FS sectors = ")? * sector, sector))
            }
            "vfat" => {
                let text = self.ask("fatresize", &["--info", self.path])?;
                // fatresize says Size: since 1.1, Cur size: before
                let size = field(&text, "Cur size:").or_else(|_| field(&text, "Size:"))?;
                Ok((size, 512))
            }
            "lvm" => {
                let words = ["--noheadings", "--nosuffix", "--units", "b", "--options"];
                let ask = |what| self.ask("pvs", &[&words[..], &[what, self.path]].concat());
                let text = ask("pv_size")?;
                let extent = number(&ask("vg_extent_size")?).unwrap_or(0);
                let start = number(&ask("pe_start")?).unwrap_or(0);
                // a volume of no group says the whole device is its own
                Ok((number(&text)? + start, extent.max(1 << 20)))
            }
            _ => Err(Failure::new(format!("module does not support resizing {fstype} filesystem yet."))),
        }
    }

    /// Grows the file system; what its tool said.
    fn grow(&self, fstype: &str, k: &Kind) -> Result<String, Failure> {
        match fstype {
            "xfs" => self.ask("xfs_growfs", &[&self.need_mount(k.shown)?]),
            "btrfs" => self.ask("btrfs", &["filesystem", "resize", "max", &self.need_mount(k.shown)?]),
            "f2fs" => self.ask("resize.f2fs", &[self.path]),
            "vfat" => {
                let size = self.size()?.to_string();
                self.ask("fatresize", &["--size", &size, self.path])
            }
            "lvm" => self.ask("pvresize", &[self.path]),
            _ => self.ask("resize2fs", &[self.path]),
        }
    }

    /// Gives the file system another UUID; what the tool said.
    fn rename(&self, fstype: &str, uuid: &str) -> Result<String, Failure> {
        match fstype {
            "xfs" => self.ask("xfs_admin", &["-U", uuid, self.path]),
            // LVM makes its own
            "lvm" => self.ask("pvchange", &["-u", self.path]),
            _ => self.ask("tune2fs", &["-U", uuid, self.path]),
        }
    }
}

fn number(text: &str) -> Result<u64, Failure> {
    let t = text.trim();
    t.parse().map_err(|_| Failure::new(format!("a size was expected, not '{t}'")))
}

/// The number behind a name that starts a line.
fn field(text: &str, name: &str) -> Result<u64, Failure> {
    number(text.lines().find_map(|l| l.trim_start().strip_prefix(name)).unwrap_or_default())
}

/// The number behind `name`, up to the next sign that is no digit.
fn pair(text: &str, name: &str) -> Result<u64, Failure> {
    let rest = text.split_once(name).map_or("", |(_, r)| r);
    number(&rest.chars().take_while(char::is_ascii_digit).collect::<String>())
}

/// The number in `name X (Y)` or `name X`.
fn bracketed(text: &str, name: &str) -> Result<u64, Failure> {
    let line = text.lines().find_map(|l| l.trim_start().strip_prefix(name)).unwrap_or_default();
    number(line.split_whitespace().next().unwrap_or_default())
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let dev = Device { ctx, path: args.str("dev") };
    let absent = args.str("state") == "absent";
    if !Path::new(dev.path).exists() {
        let msg = format!("Device {} not found.", dev.path);
        return if absent { Ok(Outcome::ok().msg(msg)) } else { Err(msg.into()) };
    }
    let found = dev.found()?;
    if absent {
        if !found.is_empty() && !dev.ctx.check {
            dev.ask("wipefs", &["--all", dev.path])?;
        }
        return Ok(Outcome::changed(!found.is_empty()));
    }
    let fstype = args.str("fstype");
    let k =
        kind(fstype).ok_or_else(|| Failure::new(format!("module does not support this filesystem ({fstype}) yet.")))?;
    let uuid = args.opt_str("uuid").filter(|u| !u.is_empty());
    let (resize, force) = (args.bool("resizefs"), args.bool("force"));
    if uuid.is_some() && !matches!(fstype, "ext2" | "ext3" | "ext4" | "ext4dev" | "xfs" | "lvm") {
        return Err(Failure::new(format!("module does not support UUID option for this filesystem ({fstype}) yet.")));
    }
    if found == k.found_as {
        if resize {
            return grown(&dev, fstype, &k);
        }
        if let Some(u) = uuid {
            if dev.ctx.check {
                let msg = format!("Changing {} filesystem UUID on device {}", k.shown, dev.path);
                return Ok(Outcome::changed(true).msg(msg));
            }
            return Ok(Outcome::changed(true).msg(dev.rename(fstype, u)?));
        }
        if !force {
            return Ok(Outcome::ok());
        }
    } else if !found.is_empty() && !force {
        let msg = format!("'{}' is already used as {found}, use force=true to overwrite", dev.path);
        return Err(Failure::new(msg).set("rc", 0).set("err", ""));
    }
    let tool = dev.tool(k.mkfs)?;
    if !dev.ctx.check {
        let mut cmd = Cmd::new([tool]).args(if force { k.force } else { k.always }.iter().copied()).c_locale();
        if let Some(u) = uuid.filter(|_| fstype.starts_with("ext")) {
            cmd = cmd.args(["-U", u]);
        }
        cmd.args(args.str("opts").split_whitespace()).arg(dev.path).run_ok(dev.ctx)?;
        if let Some(u) = uuid.filter(|_| fstype == "xfs") {
            dev.rename(fstype, u)?;
        }
    }
    Ok(Outcome::changed(true))
}

fn grown(dev: &Device, fstype: &str, k: &Kind) -> ModResult {
    let (used, step) = dev.used(fstype, k)?;
    // less than a step is no room to grow
    if dev.size()? < used + step {
        let msg = format!("{} filesystem is using the whole device {}", k.shown, dev.path);
        return Ok(Outcome::ok().msg(msg));
    }
    if dev.ctx.check {
        let msg = format!("resizing filesystem {} on device {}", k.shown, dev.path);
        return Ok(Outcome::changed(true).msg(msg));
    }
    Ok(Outcome::changed(true).msg(dev.grow(fstype, k)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::{Bench, bench};
    use serde_json::json;

    fn image(size: u64) -> Bench {
        let b = bench("filesystem").file("i", "");
        grow(&b, size);
        b
    }
    fn grow(b: &Bench, size: u64) {
        let f = std::fs::OpenOptions::new().write(true).open(b.at("i")).expect("opens");
        f.set_len(size).expect("sized");
    }
    fn has(tool: &str) -> bool {
        exec::find_program(&Ctx::bare(), tool).is_some()
    }

    #[test]
    fn ext_in_a_file() {
        if !(has("mkfs.ext4") && has("blkid") && has("resize2fs")) {
            return;
        }
        let b = image(8 << 20);
        let ext4 = json!({"dev": "$D/i", "fstype": "ext4", "opts": "-b 1024"});
        b.cycle(ext4.clone());
        let r = b.check(json!({"dev": "$D/i", "fstype": "ext2"}));
        assert_eq!(r["msg"], "'$D/i' is already used as ext4, use force=true to overwrite");
        let bigger = json!({"dev": "$D/i", "fstype": "ext4", "resizefs": true});
        assert_eq!(b.check(bigger.clone())["msg"], "Ext4 filesystem is using the whole device $D/i");
        grow(&b, 12 << 20);
        assert_eq!(b.check(bigger.clone())["msg"], "resizing filesystem Ext4 on device $D/i");
        let r = b.real(bigger.clone());
        assert!(r["msg"].as_str().is_some_and(|m| m.contains("is now 12288 (1k) blocks long")), "{r:?}");
        assert_eq!(b.real(bigger)["changed"], false);
        let uuid = json!({"dev": "$D/i", "fstype": "ext4", "uuid": "random"});
        assert_eq!(b.check(uuid.clone())["msg"], "Changing Ext4 filesystem UUID on device $D/i");
        assert_eq!(b.real(uuid)["changed"], true);
        b.cycle(json!({"dev": "$D/i", "state": "absent"}));
        assert_eq!(b.real(json!({"dev": "$D/none", "state": "absent"}))["msg"], "Device $D/none not found.");
        assert_eq!(b.real(json!({"dev": "$D/none", "fstype": "ext4"}))["failed"], true);
    }

    #[test]
    fn sizes_in_the_words_of_tools() {
        assert_eq!(field("Inode count: 2\nBlock count:              61440\n", "Block count:").ok(), Some(61440));
        assert_eq!(pair("data     =    bsize=4096   blocks=102400, imaxpct=25", "blocks=").ok(), Some(102400));
        assert_eq!(
            bracketed("Info: total FS sectors = 204800 (100 MB)\n", "Info: total FS sectors = ").ok(),
            Some(204800)
        );
        assert!(field("nothing", "Block count:").is_err());
    }
}
