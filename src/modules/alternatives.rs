//! `alternatives`: the links that `update-alternatives` keeps, on Debian and on Red Hat's systems.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/alternatives_module.html>.

use super::support::exec::{self, Cmd};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, Type, json_text};
use serde_json::{Map, Value as Json, json};

pub fn module() -> Module {
    Module {
        name: "alternatives",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::str("name").required().doc("The link group's name."),
            Arg::path("path").doc("The program that the link shall lead to."),
            Arg::str("family").doc("The alternative's family; Red Hat's systems know it."),
            Arg::path("link").doc("The link; known to Debian's systems once the group is there."),
            Arg::int("priority").doc("The alternative's priority; 50 for a new one."),
            Arg::str("state").choices(&["present", "selected", "auto", "absent"]).default("selected"),
            Arg::list("subcommands", Type::Dict)
                .aliases(&["slaves"])
                .options(Spec::new(vec![
                    Arg::str("name").required().doc("The name of a link that goes along."),
                    Arg::path("path").required().doc("What it leads to."),
                    Arg::path("link").required().doc("The link."),
                ]))
                .doc("Links that go along with this one."),
        ])
        .one_of(&["path", "family"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Alternative programs for common commands",
        run,
    }
}

/// A link that goes along with an alternative.
#[derive(Clone, Debug, PartialEq)]
struct Follower {
    name: String,
    path: String,
    /// Red Hat's tool does not tell it.
    link: Option<String>,
}

impl Follower {
    fn shown(&self) -> Json {
        json!({"name": self.name, "path": self.path, "link": self.link})
    }
    /// Whether this is what is wanted, as far as it is known.
    fn fits(&self, wanted: &Follower) -> bool {
        self.name == wanted.name && self.path == wanted.path && (self.link.is_none() || self.link == wanted.link)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Alternative {
    path: String,
    priority: i64,
    family: Option<String>,
    followers: Vec<Follower>,
}

/// A link group as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    manual: bool,
    auto: bool,
    link: Option<String>,
    current: Option<String>,
    all: Vec<Alternative>,
}

impl Group {
    /// Reads what `update-alternatives --display NAME` says, on either kind of system.
    fn parse(name: &str, text: &str) -> Group {
        let mut g = Group::default();
        let mut links: Vec<(String, String)> = vec![];
        for (n, line) in text.lines().enumerate() {
            let t = line.trim();
            if n == 0 {
                g.manual = t.ends_with("manual mode") || t.ends_with("status is manual.");
                g.auto = t.ends_with("auto mode") || t.ends_with("status is auto.");
            } else if let Some(to) = t.strip_prefix("link currently points to ") {
                g.current = Some(to.to_owned());
            } else if line.starts_with('/') {
                g.all.extend(alternative(line));
            } else if let Some(a) = g.all.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
                let told =
                    t.strip_prefix("slave ").or_else(|| t.strip_prefix("follower ")).and_then(|r| r.split_once(": "));
                if let Some((name, path)) = told.filter(|(_, path)| *path != "(null)") {
                    let link = links.iter().find(|(n, _)| n == name).map(|(_, l)| l.clone());
                    a.followers.push(Follower { name: name.into(), path: path.into(), link });
                }
            } else if let Some(link) = t.strip_prefix("link ").and_then(|r| r.strip_prefix(name)?.strip_prefix(" is "))
            {
                g.link = Some(link.to_owned());
            } else if let Some((name, link)) = t.strip_prefix("slave ").and_then(|r| r.split_once(" is ")) {
                links.push((name.to_owned(), link.to_owned()));
            }
        }
        g
    }
    /// Links that the tool does not tell are those of the task.
    fn take_links(&mut self, wanted: &[Follower]) {
        for f in self.all.iter_mut().flat_map(|a| &mut a.followers).filter(|f| f.link.is_none()) {
            f.link = wanted.iter().find(|w| w.name == f.name).and_then(|w| w.link.clone());
        }
    }
    fn find(&self, path: &str) -> Option<&Alternative> {
        self.all.iter().find(|a| a.path == path)
    }
}

/// `PATH - priority N`, `PATH - family F priority N`.
fn alternative(line: &str) -> Option<Alternative> {
    let (path, rest) = line.rsplit_once(" - ")?;
    let mut words = rest.split_whitespace();
    let mut a = Alternative { path: path.to_owned(), ..Alternative::default() };
    while let Some(w) = words.next() {
        match w {
            "family" => a.family = words.next().map(str::to_owned),
            "priority" => a.priority = words.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some(a)
}

/// The task at work.
struct Job<'a, 'c> {
    ctx: &'a Ctx<'c>,
    tool: String,
    name: &'a str,
    done: Vec<String>,
    after: Map<String, Json>,
}

impl Job<'_, '_> {
    fn call(&mut self, args: Vec<String>, said: String) -> Result<(), Failure> {
        if !self.ctx.check {
            Cmd::new([self.tool.as_str()]).args(args).c_locale().must(self.ctx)?;
        }
        self.done.push(said);
        Ok(())
    }
    fn told(&mut self, key: &str, value: impl Into<Json>) {
        self.after.insert(key.into(), value.into());
    }

    fn install(&mut self, a: &Args, group: &Group, path: &str, wanted: Option<&[Follower]>) -> Result<(), Failure> {
        if !std::path::Path::new(path).exists() {
            return Err(format!("Specified path {path} does not exist").into());
        }
        let Some(link) = a.opt_str("link").or(group.link.as_deref()) else {
            return Err("Needed to install the alternative, but unable to do so as we are missing the link".into());
        };
        let there = group.find(path);
        let priority = a.opt_int("priority").or(there.map(|t| t.priority)).unwrap_or(50);
        let mut args: Vec<String> = ["--install", link, self.name, path].map(str::to_owned).into();
        args.push(priority.to_string());
        if let Some(f) = a.opt_str("family") {
            args.extend(["--family".into(), f.into()]);
        }
        // followers that the task does not name stay; the tool drops what it is not given
        let kept = there.map(|t| t.followers.as_slice()).unwrap_or_default();
        let followers = wanted.unwrap_or(kept);
        for f in followers {
            if let Some(link) = &f.link {
                args.extend(["--slave", link, &f.name, &f.path].map(str::to_owned));
            }
        }
        self.call(args, format!("Install alternative '{path}' for '{}'.", self.name))?;
        self.told("state", "present");
        self.told("path", path);
        self.told("family", a.get("family").clone());
        self.told("priority", priority);
        self.told("link", link);
        if !followers.is_empty() {
            self.told("subcommands", followers.iter().map(Follower::shown).collect::<Json>());
        }
        Ok(())
    }
}

/// The followers that the task names.
fn wanted_followers(a: &Args) -> Option<Vec<Follower>> {
    let text = |m: &Json, k: &str| m.get(k).map(json_text).unwrap_or_default();
    a.get("subcommands").as_array().map(|l| {
        l.iter()
            .map(|m| Follower { name: text(m, "name"), path: text(m, "path"), link: Some(text(m, "link")) })
            .collect()
    })
}

fn same(wanted: &[Follower], there: &[Follower]) -> bool {
    wanted.len() == there.len() && wanted.iter().all(|w| there.iter().any(|t| t.fits(w)))
}

/// The group before the run as the diff shows it.
fn before(known: bool, group: &Group, path: Option<&str>) -> Json {
    match (known, path.and_then(|p| group.find(p))) {
        (false, _) => json!({}),
        (true, None) => json!({"state": "absent"}),
        (true, Some(t)) => {
            let mut m = Map::new();
            // ansible-core's word for a group in which another one was chosen by hand
            let other = group.manual && group.current.as_deref() != path;
            m.insert("state".into(), if other { "selected" } else { "present" }.into());
            m.insert("path".into(), t.path.as_str().into());
            m.insert("priority".into(), t.priority.into());
            m.insert("link".into(), group.link.clone().into());
            if !t.followers.is_empty() {
                m.insert("subcommands".into(), t.followers.iter().map(Follower::shown).collect());
            }
            Json::Object(m)
        }
    }
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let tool = exec::need_program(ctx, "update-alternatives")?;
    let (name, state, path) = (a.str("name"), a.str("state"), a.opt_str("path"));
    let display = Cmd::new([tool.as_str(), "--display", name]).c_locale().tried(ctx)?;
    let mut group = if display.ok() { Group::parse(name, &display.out()) } else { Group::default() };
    let followers = wanted_followers(a);
    group.take_links(followers.as_deref().unwrap_or_default());
    let before = before(display.ok(), &group, path);
    let mut job = Job { ctx, tool, name, done: vec![], after: Map::new() };
    let there = path.and_then(|p| group.find(p));
    if state == "absent" {
        if let Some(t) = there {
            let args = ["--remove", name, &t.path].map(str::to_owned).into();
            job.call(args, format!("Remove alternative '{}' from '{name}'.", t.path))?;
            job.told("state", "absent");
        }
    } else {
        let fits = there.is_some_and(|t| {
            a.opt_int("priority").is_none_or(|p| p == t.priority)
                && followers.as_ref().is_none_or(|f| same(f, &t.followers))
        });
        if let Some(p) = path.filter(|_| !fits) {
            job.install(a, &group, p, followers.as_deref())?;
        }
        let current = group.current.as_deref();
        let family = current.and_then(|c| group.find(c)).and_then(|c| c.family.as_deref());
        let selected = match path {
            Some(p) => current == Some(p),
            None => family.is_some() && family == a.opt_str("family"),
        };
        if state == "selected" && !selected {
            let choice = path.unwrap_or(a.str("family"));
            let args = ["--set", name, choice].map(str::to_owned).into();
            job.call(args, format!("Set alternative '{choice}' for '{name}'."))?;
            job.told("state", "selected");
        }
        if state == "auto" && group.manual {
            job.call(vec!["--auto".into(), name.into()], format!("Set alternative to auto for '{name}'."))?;
            job.told("state", "present");
        }
    }
    let (changed, after) = (!job.done.is_empty(), Json::Object(job.after));
    let msg = job.done.join(" ");
    let mut o = Outcome::changed(changed).msg(msg);
    if ctx.want_diff {
        o = o.with_diff(if changed { Diff::new(before, after) } else { Diff::new(json!({}), json!({})) });
    }
    Ok(o)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "foo - manual mode
  link best version is /p/b
  link currently points to /p/a
  link foo is /l/foo
  slave foo.1 is /l/foo.1
/p/a - priority -5
/p/b - priority 90
  slave foo.1: /p/s1
";
    const RED_HAT: &str = "java - status is auto.
 link currently points to /p/a
/p/a - family fam.a priority 10
 follower keytool: /p/s1
 slave jjs: (null)
/p/d - priority 5
Current `best' version is /p/a.
";

    #[test]
    fn what_the_tools_say() {
        let g = Group::parse("foo", DEBIAN);
        assert!(g.manual && !g.auto);
        assert_eq!((g.link.as_deref(), g.current.as_deref()), (Some("/l/foo"), Some("/p/a")));
        assert_eq!(g.find("/p/a").map(|a| a.priority), Some(-5));
        let follower = Follower { name: "foo.1".into(), path: "/p/s1".into(), link: Some("/l/foo.1".into()) };
        assert_eq!(g.find("/p/b").map(|a| a.followers.as_slice()), Some([follower.clone()].as_slice()));
        assert_eq!(before(true, &g, Some("/p/c")), json!({"state": "absent"}));
        let g = Group::parse("java", RED_HAT);
        assert!(g.auto && g.link.is_none());
        let a = g.find("/p/a").expect("there");
        assert_eq!((a.family.as_deref(), a.priority, a.followers.len()), (Some("fam.a"), 10, 1));
        assert!(same(
            &[Follower { name: "keytool".into(), path: "/p/s1".into(), link: Some("/x".into()) }],
            &a.followers
        ));
        assert!(!same(&[follower], &a.followers));
        assert_eq!(g.find("/p/d").map(|a| a.priority), Some(5));
        assert_eq!(Group::parse("x", "x - auto mode\n/p - oddity 3\n").all, []);
    }

    /// A host whose tool answers with this text and notes how it is called.
    fn called(text: &str, args: Json) -> (bool, String) {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let at = |n: &str| dir.path().join(n);
        std::fs::write(at("text"), text).expect("written");
        std::fs::write(
            at("update-alternatives"),
            format!(
                "#!/bin/sh\ncd {}\n[ $1 = --display ] && exec cat text\necho \"$*\" >> log\n",
                dir.path().display()
            ),
        )
        .expect("written");
        std::fs::set_permissions(at("update-alternatives"), std::fs::Permissions::from_mode(0o755)).expect("set");
        let mut ctx = Ctx::bare();
        ctx.env = vec![("PATH".into(), format!("{}:/usr/bin:/bin", dir.path().display()))];
        let given = args.as_object().cloned().unwrap_or_default();
        let a = crate::modules::validate(&module().spec, &given, "alternatives").expect("valid").args;
        let changed = run(&mut ctx, &a).map(|o| o.changed).map_err(|f| f.msg);
        (changed.expect("no failure"), std::fs::read_to_string(at("log")).unwrap_or_default())
    }

    #[test]
    fn calls() {
        let same = (false, String::new());
        assert_eq!(called(DEBIAN, json!({"name": "foo", "path": "/p/a"})), same);
        assert_eq!(called(DEBIAN, json!({"name": "foo", "path": "/p/b"})), (true, "--set foo /p/b\n".into()));
        assert_eq!(
            called(DEBIAN, json!({"name": "foo", "path": "/p/b", "state": "auto"})),
            (true, "--auto foo\n".into())
        );
        assert_eq!(
            called(DEBIAN, json!({"name": "foo", "path": "/p/b", "state": "absent"})),
            (true, "--remove foo /p/b\n".into())
        );
        assert_eq!(called(RED_HAT, json!({"name": "java", "family": "fam.a"})), same);
        assert_eq!(called(RED_HAT, json!({"name": "java", "family": "fam.b"})), (true, "--set java fam.b\n".into()));
        let text = DEBIAN.replace("/p/b", "/bin/sh");
        assert_eq!(
            called(&text, json!({"name": "foo", "path": "/bin/sh", "state": "present", "priority": 7})),
            (true, "--install /l/foo foo /bin/sh 7 --slave /l/foo.1 foo.1 /p/s1\n".into())
        );
        let new = json!({"name": "java", "path": "/bin/sh", "link": "/l", "family": "f", "state": "present"});
        assert_eq!(called(RED_HAT, new), (true, "--install /l java /bin/sh 50 --family f\n".into()));
    }
}
