//! `getent`: entries of a name service database as facts.

use super::support::exec::{Cmd, need_program};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::{Map, Value as Json, json};

pub fn module() -> Module {
    Module {
        name: "getent",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("database").required().doc("Name of the database (passwd, group, hosts …)."),
            Arg::str("key").doc("Key to look up; without it all entries are returned."),
            Arg::str("service").doc("Ask this name service only."),
            Arg::str("split").doc("What separates the fields; by default what the database uses."),
            Arg::bool("fail_key").default(true).doc("Fail if the key is not there."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Read a name service database through the host's getent, into `getent_DATABASE`.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let tool = need_program(ctx, "getent")?;
    let database = args.str("database");
    let mut cmd = Cmd::new([tool.as_str(), database]);
    if let Some(k) = args.opt_str("key") {
        cmd = cmd.arg(k);
    }
    if let Some(s) = args.opt_str("service") {
        cmd = cmd.args(["-s", s]);
    }
    let default = matches!(database, "passwd" | "shadow" | "group" | "gshadow").then_some(":");
    let split = args.opt_str("split").or(default);
    let fact = |m: Map<String, Json>| {
        let mut f = Map::new();
        f.insert(format!("getent_{database}"), Json::Object(m));
        Outcome::ok().set("ansible_facts", Json::Object(f))
    };
    let o = cmd.run(ctx)?;
    let msg = match o.rc {
        0 => return Ok(fact(parse(&o.out(), split))),
        1 => "Missing arguments, or database unknown.",
        2 => {
            let msg = "One or more supplied key could not be found in the database.";
            if !args.bool("fail_key") {
                let mut m = Map::new();
                m.insert(args.str("key").into(), Json::Null);
                return Ok(fact(m).msg(msg));
            }
            msg
        }
        3 => "Enumeration not supported on this database.",
        _ => "Unexpected failure!",
    };
    Err(Failure::new(msg))
}

/// Lines to fields by their first field; a first field that comes again makes a list of lists.
fn parse(text: &str, split: Option<&str>) -> Map<String, Json> {
    let mut out: Map<String, Json> = Map::new();
    let mut many: std::collections::HashSet<String> = Default::default();
    for line in text.lines() {
        let words: Vec<&str> = match split {
            Some(s) if !s.is_empty() => line.split(s).collect(),
            _ => line.split_whitespace().collect(),
        };
        let Some((key, rest)) = words.split_first() else { continue };
        let rest = json!(rest);
        match out.get_mut(*key) {
            None => drop(out.insert(key.to_string(), rest)),
            Some(v) if many.contains(*key) => {
                if let Some(a) = v.as_array_mut() {
                    a.push(rest);
                }
            }
            Some(v) => {
                let first = v.take();
                *v = json!([first, rest]);
                many.insert(key.to_string());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_become_lists() {
        let m = parse("a b c\na d\na e\n\nx\n", None);
        assert_eq!(Json::Object(m), json!({"a": [["b", "c"], ["d"], ["e"]], "x": []}));
        assert_eq!(Json::Object(parse("r:x:0\n", Some(":"))), json!({"r": ["x", "0"]}));
    }
}
