//! `mount_facts`: mounts out of files of several formats and the output of `mount`.

mod formats;

use super::facts::mounts::{sizes, uuids};
use super::support::exec::{Cmd, find_program};
use super::support::glob::fnmatch;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type, json_text};
use formats::Mount;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

const DYNAMIC: &[&str] = &["/etc/mtab", "/proc/mounts", "/etc/mnttab"];
const STATIC: &[&str] = &["/etc/fstab", "/etc/vfstab", "/etc/filesystems"];
/// The source that stands for what `mount_binary` says.
const BINARY: &str = "mount";

pub fn module() -> Module {
    let list = |n: &str, d: &str| Arg::list(n, Type::Str).doc(d);
    Module {
        name: "mount_facts",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            list("devices", "Patterns of devices; others are left out."),
            list("fstypes", "Patterns of file system types; others are left out."),
            list("sources", "Files, `mount`, or the names all, static and dynamic; all if not given."),
            Arg::raw("mount_binary").default("mount").doc("The program that lists mounts; null for none."),
            Arg::float("timeout").doc("Seconds to wait for each mount, and for the program."),
            Arg::str("on_timeout").choices(&["error", "warn", "ignore"]).default("error").doc("What a timeout does."),
            Arg::bool("include_aggregate_mounts").doc("Tell all mounts of a mount point, too."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Retrieve mount information\n\nA file whose lines are not all of one known format counts as empty.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let timeout = match args.opt_float("timeout") {
        Some(t) if t.is_finite() && t > 0.0 => Some(Duration::from_secs_f64(t.min(1e9))),
        Some(t) => {
            return Err(Failure::new(format!("argument 'timeout' must be a positive number or null, not {t:?}")));
        }
        None => None,
    };
    let binary = match args.get("mount_binary") {
        Json::Null => None,
        Json::String(s) => Some(s.clone()),
        other => {
            let shown = json_text(other);
            return Err(Failure::new(format!("argument 'mount_binary' must be a string or null, not {shown}")));
        }
    };
    let mut job = Job { ctx, args, timeout, warnings: vec![] };
    let named = args.strings("sources");
    if named.iter().collect::<HashSet<_>>().len() < named.len() {
        let list: Vec<String> = named.iter().map(|s| super::support::pytext::repr(s)).collect();
        let what = "mount_facts option 'sources' contains duplicate entries, repeat sources will be ignored";
        job.warnings.push(format!("{what}: [{}]", list.join(", ")));
    }
    let found = job.collect(&sources(args)?, binary.as_deref())?;
    let (points, all) = job.describe(found)?;
    let mut o = Outcome::ok().set("ansible_facts", json!({"mount_points": points, "aggregate_mounts": all}));
    o.warnings = job.warnings;
    Ok(o)
}

/// A source as the task names it, or as an alias stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    name: String,
    /// The program runs here only if no file of the alias had anything.
    fallback: bool,
}

fn sources(args: &Args) -> Result<Vec<Source>, Failure> {
    let mut named = args.strings("sources");
    if named.iter().any(String::is_empty) {
        return Err("sources contains an empty string".into());
    }
    if named.is_empty() {
        named.push("all".into());
    }
    let mut out: Vec<Source> = vec![];
    for name in named {
        let (dynamic, fixed) = match name.as_str() {
            "all" => (true, true),
            "dynamic" => (true, false),
            "static" => (false, true),
            _ => {
                out.push(Source { name, fallback: false });
                continue;
            }
        };
        let file = |n: &&str| Source { name: n.to_string(), fallback: false };
        if dynamic {
            out.extend(DYNAMIC.iter().map(file));
            out.push(Source { name: BINARY.into(), fallback: true });
        }
        if fixed {
            out.extend(STATIC.iter().map(file));
        }
    }
    Ok(out)
}

struct Job<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    timeout: Option<Duration>,
    warnings: Vec<String>,
}

impl Job<'_, '_> {
    /// The mounts of every source with the source's name, in order.
    fn collect(&mut self, sources: &[Source], binary: Option<&str>) -> Result<Vec<(String, Mount)>, Failure> {
        let mut seen: HashSet<PathBuf> = HashSet::new();
        let mut out: Vec<(String, Mount)> = vec![];
        let mut dynamic = false;
        for s in sources {
            if s.name == BINARY {
                let first = seen.insert(PathBuf::from(BINARY));
                if !first || (s.fallback && (dynamic || binary.is_none())) {
                    continue;
                }
                let Some(binary) = binary else {
                    return Err("the source 'mount' needs a program: mount_binary is null".into());
                };
                let text = self.list(binary)?;
                out.extend(formats::program(&text).into_iter().map(|m| (s.name.clone(), m)));
                continue;
            }
            // A link to a file that was read, such as /etc/mtab, says nothing new.
            let real = std::fs::canonicalize(&s.name).unwrap_or_else(|_| PathBuf::from(&s.name));
            if !seen.insert(real) {
                continue;
            }
            let Ok(data) = std::fs::read(&s.name) else { continue };
            let found = formats::file(&String::from_utf8_lossy(&data));
            dynamic |= DYNAMIC.contains(&s.name.as_str()) && !found.is_empty();
            out.extend(found.into_iter().map(|m| (s.name.clone(), m)));
        }
        Ok(out)
    }

    /// What the program that lists mounts says.
    fn list(&mut self, binary: &str) -> Result<String, Failure> {
        let program = find_program(self.ctx, binary).ok_or_else(|| {
            Failure::new(format!("Failed to find required executable \"{binary}\" in the target's PATH"))
        })?;
        let mut cmd = Cmd::new([program.as_str()]).c_locale();
        if let Some(t) = self.timeout {
            cmd = cmd.limit(t);
        }
        match cmd.run(self.ctx) {
            Ok(o) if o.ok() => Ok(o.out()),
            Ok(o) => {
                let rc = o.rc;
                let why = format!("Command '{program}' returned non-zero exit status {rc}.");
                Err(Failure::new(format!("Failed to execute {program}: {why}")))
            }
            Err(e) if e.timed_out => {
                let t = self.timeout.map_or(0.0, |t| t.as_secs_f64());
                self.late(format!("Command '{program}' timed out after {t:?} seconds"))?;
                Ok(String::new())
            }
            Err(e) => Err(Failure::new(format!("Failed to execute {program}: {e}"))),
        }
    }

    /// Something did not answer in time: an error, a warning or nothing.
    fn late(&mut self, msg: String) -> Result<(), Failure> {
        match self.args.str("on_timeout") {
            "error" => return Err(Failure::new(msg)),
            "warn" => self.warnings.push(msg),
            _ => {}
        }
        Ok(())
    }

    /// The first mount of each mount point, and all of them if they are asked for.
    fn describe(&mut self, found: Vec<(String, Mount)>) -> Result<(Map<String, Json>, Vec<Json>), Failure> {
        let fits = |patterns: &str, value: &str| {
            !self.args.is_set(patterns) || self.args.strings(patterns).iter().any(|p| fnmatch(value, p))
        };
        let wanted: Vec<(String, Mount)> =
            found.into_iter().filter(|(_, m)| fits("devices", &m.device) && fits("fstypes", &m.fstype)).collect();
        let aggregate = self.args.opt_bool("include_aggregate_mounts");
        if aggregate.is_none() {
            self.warn_of_repeats(&wanted);
        }
        let uuids = uuids();
        let mut known: HashMap<String, Map<String, Json>> = HashMap::new();
        let (mut points, mut all) = (Map::new(), vec![]);
        for (source, m) in wanted {
            let first = !points.contains_key(&m.point);
            if !first && aggregate != Some(true) {
                continue;
            }
            let size = match known.get(&m.point) {
                Some(s) => s.clone(),
                None => {
                    let s = self.sizes(&m)?;
                    known.insert(m.point.clone(), s.clone());
                    s
                }
            };
            let shown = Json::Object(facts(&source, &m, size, &uuids));
            if aggregate == Some(true) {
                all.push(shown.clone());
            }
            if first {
                points.insert(m.point.clone(), shown);
            }
        }
        Ok((points, all))
    }

    fn warn_of_repeats(&mut self, mounts: &[(String, Mount)]) {
        let mut by_source: BTreeMap<usize, (&str, Vec<&str>)> = BTreeMap::new();
        for (source, m) in mounts {
            let at = by_source.iter().find(|(_, (s, _))| s == source).map(|(i, _)| *i).unwrap_or(by_source.len());
            by_source.entry(at).or_insert_with(|| (source, vec![])).1.push(&m.point);
        }
        let repeats: Vec<String> = by_source
            .values()
            .filter(|(_, points)| points.iter().collect::<HashSet<_>>().len() < points.len())
            .map(|(source, points)| {
                let list: Vec<String> = points.iter().map(|p| super::support::pytext::repr(p)).collect();
                format!("{source} ([{}])", list.join(", "))
            })
            .collect();
        if !repeats.is_empty() {
            self.warnings.push(format!(
                "mount_facts: ignoring repeat mounts in the following sources: {}. You can disable this warning by \
                 configuring the 'include_aggregate_mounts' option as True or False.",
                repeats.join(", ")
            ));
        }
    }

    /// Sizes of the file system at a mount point; a server that does not answer must not hold us longer than told.
    fn sizes(&mut self, m: &Mount) -> Result<Map<String, Json>, Failure> {
        let Some(limit) = self.timeout else { return Ok(sizes(&m.point)) };
        let (tx, rx) = mpsc::channel();
        let point = m.point.clone();
        std::thread::spawn(move || tx.send(sizes(&point)));
        match rx.recv_timeout(limit) {
            Ok(s) => Ok(s),
            Err(_) => {
                let (t, point, fstype) = (limit.as_secs_f64(), &m.point, &m.fstype);
                self.late(format!(
                    "Timed out getting mount size for mount {point} (type {fstype}) after {t:?} seconds"
                ))?;
                Ok(Map::new())
            }
        }
    }
}

fn facts(source: &str, m: &Mount, size: Map<String, Json>, uuids: &HashMap<String, String>) -> Map<String, Json> {
    let mut f = m.more.clone();
    f.extend(size);
    f.insert("mount".into(), m.point.clone().into());
    f.insert("device".into(), m.device.clone().into());
    f.insert("fstype".into(), m.fstype.clone().into());
    let by_device = || {
        let real = std::fs::canonicalize(&m.device).ok()?;
        uuids.get(real.to_string_lossy().as_ref()).cloned()
    };
    let uuid = m.device.strip_prefix("UUID=").map(|u| u.trim_matches('"').to_owned()).or_else(by_device);
    f.insert("uuid".into(), uuid.map_or(Json::Null, Json::from));
    f.insert("ansible_context".into(), json!({"source": source, "source_data": m.line}));
    f
}

#[cfg(test)]
mod tests {
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    #[test]
    fn files_filters_and_repeats() {
        let b = bench("mount_facts")
            .file("a", "UUID=x /m1 ext4 ro 0 1\n/dev/q /m2 xfs rw 0 0\n")
            .file("b", "srv:/e /m2 nfs rw 0 0\n/dev/z /m3 ext3 rw\n/dev/y /m3 ext3 rw\n")
            .link("c", "a");
        let r = b.check(json!({"sources": ["$D/a", "$D/c", "$D/b", "$D/none"], "fstypes": ["ext*", "nfs"]}));
        let points = &r["ansible_facts"]["mount_points"];
        assert_eq!(points["/m1"]["uuid"], "x");
        assert_eq!((&points["/m2"]["device"], &points["/m3"]["device"]), (&json!("srv:/e"), &json!("/dev/z")));
        assert_eq!(r["ansible_facts"]["aggregate_mounts"], json!([]));
        assert!(r["warnings"][0].as_str().is_some_and(|w| w.contains("$D/b (['/m2', '/m3', '/m3'])")), "{r:?}");
        let r = b.real(json!({"sources": ["$D/a", "$D/b"], "include_aggregate_mounts": true, "devices": "/dev/*"}));
        assert_eq!(r["ansible_facts"]["aggregate_mounts"].as_array().map(Vec::len), Some(3));
        assert_eq!(r.get("warnings"), None);
    }

    #[test]
    fn the_program_and_its_time() {
        let b = bench("mount_facts").file("m", "#!/bin/sh\necho '/dev/q on /m type ext4 (ro)'\n");
        let b = b.file("slow", "#!/bin/sh\nexec sleep 9\n").file("bad", "#!/bin/sh\nexit 3\n");
        for f in ["m", "slow", "bad"] {
            let x = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(b.at(f), x).expect("set");
        }
        let r = b.real(json!({"sources": ["mount", "mount"], "mount_binary": "$D/m"}));
        assert_eq!(r["ansible_facts"]["mount_points"]["/m"]["options"], "ro");
        assert!(r["warnings"][0].as_str().is_some_and(|w| w.ends_with("will be ignored: ['mount', 'mount']")));
        let slow = |on: &str| {
            b.real(json!({"sources": ["mount"], "mount_binary": "$D/slow", "timeout": 0.2, "on_timeout": on}))
        };
        let said = "Command '$D/slow' timed out after 0.2 seconds";
        assert_eq!(slow("error")["msg"], said);
        assert_eq!(slow("warn")["warnings"][0], said);
        assert_eq!(slow("ignore").get("warnings"), None);
        let r = b.real(json!({"sources": ["mount"], "mount_binary": "$D/bad"}));
        assert_eq!(r["msg"], "Failed to execute $D/bad: Command '$D/bad' returned non-zero exit status 3.");
    }

    #[test]
    fn refusals() {
        let b = bench("mount_facts");
        let msg = |a| b.real(a)["msg"].as_str().unwrap_or_default().to_owned();
        assert_eq!(msg(json!({"sources": ["static", ""]})), "sources contains an empty string");
        assert_eq!(msg(json!({"timeout": -1})), "argument 'timeout' must be a positive number or null, not -1.0");
        assert_eq!(msg(json!({"mount_binary": 3})), "argument 'mount_binary' must be a string or null, not 3");
    }
}
