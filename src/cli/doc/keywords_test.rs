//! The table of keywords against what is accepted where.

use crate::playbook::{Library, Loader, LoaderOptions, load_node};
use crate::value::Map;

/// A play with one more line at a level.
fn play(level: &str, line: &str) -> String {
    let at = |name: &str, line: &str| if name == level { line.to_string() } else { String::new() };
    let (play, task) = (at("Play", &format!("  {line}\n")), at("Task", &format!("      {line}\n")));
    let (block, handler) = (at("Block", &format!("      {line}\n")), at("Handler", &format!("      {line}\n")));
    let given = |k: &str| level == "Play" && line.starts_with(&format!("{k}:"));
    let unless = |k: &str, text: String| if given(k) { String::new() } else { text };
    let hosts = unless("hosts", "  hosts: h\n".into());
    let tasks = format!("  tasks:\n    - debug:\n{task}    - block: [{{debug: }}]\n{block}");
    let tasks = unless("tasks", tasks);
    let handlers = unless("handlers", format!("  handlers:\n    - debug:\n      name: told\n{handler}"));
    format!("- gather_subset: []\n{hosts}{play}{tasks}{handlers}").replacen("- gather_subset: []\n  ", "- ", 1)
}

fn refused(level: &str, keyword: &str) -> Option<bool> {
    let value = match keyword {
        "hosts" => "h",
        "action" | "local_action" => return None,
        // there it is an action
        "gather_facts" if level != "Play" => return None,
        "block" | "rescue" | "always" | "tasks" | "pre_tasks" | "post_tasks" | "handlers" | "roles" | "notify"
        | "collections" | "listen" | "vars_files" | "vars_prompt" | "gather_subset" | "loop" => "[]",
        "vars" | "environment" | "module_defaults" | "args" | "loop_control" => "{}",
        "debugger" => "never",
        "register" | "name" | "tags" | "order" | "strategy" | "with_<lookup_plugin>" => "x",
        _ => "1",
    };
    let name = keyword.replace("<lookup_plugin>", "items");
    let loader = Loader::new(LoaderOptions {
        roles_path: vec![],
        collections_path: vec![],
        decrypt: Box::new(|t| Ok(t.to_string())),
        render: Box::new(|v, _| Ok(v.clone())),
        library: std::sync::Arc::new(Library::built_in(crate::actions::known)),
    });
    let text = play(level, &format!("{name}: {value}"));
    let root = crate::yaml::parse_str("/test.yml", &text).unwrap_or_else(|e| panic!("{text}: {e}")).root;
    match load_node(&loader, "test.yml", root, "/".into(), &Map::new()) {
        Ok(_) => Some(false),
        Err(e) => {
            Some(["is not a valid attribute", "conflicting action statements"].iter().any(|w| e.message().contains(w)))
        }
    }
}

#[test]
fn every_keyword_is_accepted_where_the_table_says_and_nowhere_else() {
    let mut wrong = vec![];
    for row in include_str!("keywords.tsv").lines().filter(|l| !l.starts_with('#')) {
        let mut columns = row.split('\t');
        let (Some(keyword), Some(levels)) = (columns.next(), columns.next()) else { panic!("{row}") };
        for level in ["Play", "Block", "Task", "Handler"] {
            let allowed = levels.split(',').any(|l| l == level);
            // a task with block, rescue or always is a block
            let block = matches!(keyword, "block" | "rescue" | "always") && level != "Play";
            if !block && refused(level, keyword).is_some_and(|refused| refused == allowed) {
                wrong.push(format!("{keyword} in {level}: {}", if allowed { "refused" } else { "accepted" }));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
