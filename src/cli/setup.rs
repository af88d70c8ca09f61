//! From options and configuration to a run: inventory, secrets, variables, engine, connections.

use super::common::{ConnectionArgs, InventoryArgs, RunArgs, VaultArgs};
use super::config::Config;
use crate::diag::{Error, Kind, Result};
use crate::executor::{Defaults, Options, Runner, Sink};
use crate::facts::FactCache;
use crate::inventory::{Inventory, LoadOptions};
use crate::output::{Callbacks, Screen, Tee, Tree};
use crate::playbook::{Loader, LoaderOptions, parse_kv};
use crate::template::{Engine, EngineOptions, FileScope, MapVars, Scope};
use crate::transport::{Pool, PoolOptions, Secret};
use crate::value::{Map, Value};
use crate::vars::{Globals, RunInfo, Store};
use crate::vault::Secrets;
use crate::vault::prompt::ask_or_end;
use crate::vault::source::VaultSources;
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::HashSet;
use std::sync::Arc;

/// Hosts worked on at once where nothing says otherwise: a thread and a few kilobytes each, not a process.
const FORKS: usize = 50;

/// Options of a run, whatever the command.
pub struct Wanted<'a> {
    pub inventory: &'a InventoryArgs,
    pub vault: &'a VaultArgs,
    pub connection: &'a ConnectionArgs,
    pub run: &'a RunArgs,
    /// Directory of the (first) playbook, or the current one.
    pub base_dir: Utf8PathBuf,
    pub tags: Vec<String>,
    pub skip_tags: Vec<String>,
    /// An ad-hoc command: its callbacks are its own unless the configuration says otherwise.
    pub adhoc: bool,
    pub one_line: bool,
    /// Directory of `--tree`.
    pub tree: Option<String>,
}

/// Everything made ready, before anything is run.
pub struct Ready {
    pub config: Config,
    pub secrets: Arc<Secrets>,
    pub extra: Map,
    pub loader: Arc<Loader>,
    pub engine: Engine,
    pub store: Arc<Store>,
    pub sink: Arc<dyn Sink>,
    pub options: Options,
    pub limit: Option<HashSet<Arc<str>>>,
    pub screen: Screen,
    sources: Vec<String>,
}

/// The secrets that options and configuration name.
pub fn secrets(v: &VaultArgs, c: &Config) -> Result<Secrets> {
    let mut ids = c.list("vault_identity_list");
    ids.extend(v.vault_id.iter().cloned());
    let mut files: Vec<String> = c.text("vault_password_file").into_iter().collect();
    files.extend(v.vault_password_file.iter().cloned());
    VaultSources {
        warn: Some(|text| crate::output::show_warning(text, false)),
        vault_ids: ids,
        password_files: files,
        ask: v.ask_vault_password || c.flag("ask_vault_pass", false)?,
        default_label: c.text("vault_identity").unwrap_or_default(),
        match_ids: c.flag("vault_id_match", false)?,
        ..VaultSources::default()
    }
    .load()
}

/// `-e`: key=value pairs, JSON or YAML text, or @FILE; the later ones win.
pub fn extra_vars(list: &[String], secrets: &Secrets) -> Result<Map> {
    let mut out = Map::new();
    for e in list {
        let more = if let Some(file) = e.strip_prefix('@') {
            let path = Utf8PathBuf::from(crate::modules::expand_path(file));
            let text = std::fs::read_to_string(&path).map_err(|err| match err.kind() {
                std::io::ErrorKind::NotFound => Error::absent(absolute(&path))
                    .help("--extra-vars @FILE takes a file of variables; the path is taken from the current directory"),
                _ => Error::parse(format!("An error occurred while trying to read the file '{path}': {err}")),
            })?;
            let text = secrets.open_text(path.as_str(), text)?;
            document(path.as_str(), &text, &format!("@{}", absolute(&path)))?
        } else if e.trim_start().starts_with(['{', '[']) {
            placed(document("<extra vars>", e, e.trim())?)
        } else {
            placed(parse_kv(e, true, false, None)?)
        };
        out.extend(more);
    }
    Ok(out)
}

/// Variables of the command line, each of whose texts is a place of its own.
fn placed(m: Map) -> Map {
    match super::common::node_of(&Value::map(m), "<CLI option '-e'>").to_value() {
        Value::Map(m) => (*m).clone(),
        _ => Map::new(),
    }
}

/// The mapping that text holds; `written` is how an error calls it.
fn document(name: &str, text: &str, written: &str) -> Result<Map> {
    let doc = yaml::parse_str(name, text)?;
    match doc.root.to_value() {
        Value::Map(m) => Ok((*m).clone()),
        _ => Err(Error::options(format!(
            "Invalid extra vars data supplied. '{written}' could not be made into a dictionary"
        ))
        .at(doc.root.span)
        .help("write key: value pairs")),
    }
}

fn password_file(path: &str) -> Result<String> {
    let p = crate::modules::expand_path(path);
    let run = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Error::general(format!("The password file {p} was not found")),
        _ => Error::general(format!("Could not read password file {p}: {e}")),
    };
    use std::os::unix::fs::PermissionsExt;
    let executable = std::fs::metadata(&p).map_err(run)?.permissions().mode() & 0o111 != 0;
    let bytes = if executable {
        let out = std::process::Command::new(&p).output().map_err(run)?;
        if !out.status.success() {
            return Err(Error::options(format!(
                "The password script {p} returned an error ({}): {}",
                out.status,
                String::from_utf8_lossy(&out.stderr).trim()
            )));
        }
        out.stdout
    } else {
        std::fs::read(&p).map_err(run)?
    };
    let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_string();
    if text.is_empty() {
        return Err(Error::options(format!("Empty password was provided from file ({p})")));
    }
    Ok(text)
}

/// What a task's variables tell of the connection where nothing else does.
fn connection_vars(d: &Defaults) -> Result<Map> {
    let mut m = Map::new();
    let mut put = |names: &[&str], v: Value| m.extend(names.iter().map(|n| ((*n).into(), v.clone())));
    put(&["ansible_connection"], d.connection.as_str().into());
    put(&["ansible_timeout", "ansible_ssh_timeout"], Value::Int(d.timeout.into()));
    for (setting, names) in [
        ("ANSIBLE_PIPELINING", &["ansible_pipelining", "ansible_ssh_pipelining"][..]),
        ("DEFAULT_EXECUTABLE", &["ansible_shell_executable"]),
        ("DEFAULT_MODULE_COMPRESSION", &["ansible_module_compression"]),
    ] {
        if let Some(found) = crate::settings::current().get(setting) {
            put(names, found?.value.untrusted());
        }
    }
    if let Some(user) = &d.remote_user {
        put(&["ansible_user", "ansible_ssh_user", "ansible_connection_user"], user.as_str().into());
    }
    if let Some(file) = &d.private_key_file {
        put(&["ansible_private_key_file", "ansible_ssh_private_key_file"], file.as_str().into());
    }
    if let Some(password) = &d.password {
        put(&["ansible_password", "ansible_ssh_pass"], password.reveal().into());
    }
    Ok(m)
}

fn defaults(c: &Config, a: &ConnectionArgs) -> Result<Defaults> {
    let d = Defaults::default();
    let or = |name: &str, d: String| c.text(name).unwrap_or(d);
    let mut out = Defaults {
        connection: a.connection.clone().unwrap_or_else(|| or("transport", d.connection.clone())),
        remote_user: a.user.clone().or_else(|| c.text("remote_user")),
        remote_port: c.number("remote_port")?,
        private_key_file: a.private_key.clone().or_else(|| c.text("private_key_file")),
        timeout: a.timeout.or(c.number("timeout")?).unwrap_or(d.timeout),
        ssh_args: or("ssh_args", d.ssh_args.clone()),
        ssh_common_args: a.ssh_common_args.clone().unwrap_or_else(|| or("ssh_common_args", String::new())),
        ssh_extra_args: a.ssh_extra_args.clone().unwrap_or_else(|| or("ssh_extra_args", String::new())),
        ssh_executable: or("ssh_executable", d.ssh_executable.clone()),
        host_key_checking: c.flag("host_key_checking", true)?,
        control_path_dir: or("control_path_dir", d.control_path_dir.clone()),
        remote_tmp: or("remote_tmp", d.remote_tmp.clone()),
        ssh_retries: c.number("ssh_retries")?.unwrap_or(0),
        become_: a.become_ || c.flag("become", false)?,
        become_method: a.become_method.clone().unwrap_or_else(|| or("become_method", d.become_method.clone())),
        become_user: a.become_user.clone().unwrap_or_else(|| or("become_user", d.become_user.clone())),
        become_flags: c.text("become_flags"),
        become_allow_same_user: c.flag("become_allow_same_user", false)?,
        become_exe: c.text("become_exe"),
        task_timeout: c.number("task_timeout")?.unwrap_or(0),
        display_args_to_stdout: c.flag("display_args_to_stdout", false)?,
        no_log: c.flag("no_log", false)?,
        async_dir: or("async_dir", d.async_dir.clone()),
        ..d
    };
    let files = (
        a.connection_password_file.clone().or_else(|| c.text("connection_password_file")),
        a.become_password_file.clone().or_else(|| c.text("become_password_file")),
    );
    let ask_pass = a.ask_pass || (files.0.is_none() && c.flag("ask_pass", false)?);
    let ask_become = a.ask_become_pass || (files.1.is_none() && c.flag("become_ask_pass", false)?);
    // as in ansible-core, who ends the input gives no password, and is asked no more
    let mut ended = false;
    if let Some(f) = &files.0 {
        out.password = Some(Secret::new(password_file(f)?));
    } else if ask_pass {
        out.password = ask_or_end("SSH password: ", true)?.map(Secret::new);
        ended = out.password.is_none();
    }
    if let Some(f) = &files.1 {
        out.become_password = Some(Secret::new(password_file(f)?));
    } else if ask_become && !ended {
        let words = if ask_pass { "BECOME password[defaults to SSH password]: " } else { "BECOME password: " };
        out.become_password = match ask_or_end(words, true)? {
            Some(typed) if typed.is_empty() => out.password.clone(),
            typed => typed.map(Secret::new),
        };
    }
    Ok(out)
}

fn options(c: &Config, w: &Wanted) -> Result<Options> {
    let mut skip = c.list("skip_tags");
    skip.extend(w.skip_tags.iter().cloned());
    let mut tags = if w.tags.is_empty() { c.list("run_tags") } else { w.tags.clone() };
    for list in [&mut tags, &mut skip] {
        *list =
            list.iter().flat_map(|t| t.split(',')).map(|t| t.trim().to_string()).filter(|t| !t.is_empty()).collect();
    }
    if tags.is_empty() {
        tags.push("all".into());
    }
    let forks = w.run.forks.or(c.number("forks")?).unwrap_or(FORKS);
    if forks == 0 {
        return Err(Error::new(Kind::Arguments, "The number of processes (--forks) must be >= 1"));
    }
    let verbosity = w.run.verbose.max(c.number("verbosity")?.unwrap_or(0));
    let logged = c.get("log_path").is_some_and(|p| !p.is_empty());
    let log_verbosity = if logged { c.number("log_verbosity")?.unwrap_or(verbosity) } else { 0 };
    Ok(Options {
        check: w.run.check,
        diff: w.run.diff || c.flag("diff_always", false)?,
        verbosity,
        told: verbosity.max(log_verbosity),
        forks,
        tags,
        skip_tags: skip,
        limit: w.inventory.limit.clone(),
        debugger: c.flag("debugger", false)?,
        debugger_honours_ignore_errors: c.flag("debugger_ignore_errors", true)?,
        force_handlers: c.flag("force_handlers", false)?,
        strategy: c.text("strategy").unwrap_or_else(|| "linear".into()),
        gathering: c.text("gathering").unwrap_or_else(|| "implicit".into()),
        error_on_missing_handler: c.flag("error_on_missing_handler", true)?,
        any_errors_fatal: c.flag("any_errors_fatal", false)?,
        defaults: defaults(c, w.connection)?,
        foreign: super::modules::settings(c)?,
        deprecation_warnings: c.flag("deprecation_warnings", true)?,
        deprecations: deprecations(c, w)?,
        send_ahead: std::env::var("DIRIGO_SEND_AHEAD").unwrap_or_default().parse().map_err(Error::options)?,
        ..Options::default()
    })
}

/// The inventory sources: `-i`, the configuration, /etc/ansible/hosts.
pub(super) fn sources(c: &Config, a: &InventoryArgs) -> Vec<String> {
    if !a.inventory.is_empty() {
        return a.inventory.clone();
    }
    match c.get("inventory") {
        Some(v) if v.contains(',') => {
            v.split(',').map(str::trim).filter(|s| !s.is_empty()).map(crate::modules::expand_path).collect()
        }
        Some(v) => vec![crate::modules::expand_path(v)],
        None => vec!["/etc/ansible/hosts".into()],
    }
}

/// Directories beside which group_vars and host_vars are looked for.
fn source_dirs(sources: &[String]) -> Vec<Utf8PathBuf> {
    let mut out: Vec<Utf8PathBuf> = vec![];
    for s in sources.iter().filter(|s| !s.contains(',')) {
        let p = Utf8Path::new(s);
        let p = crate::playbook::clean(&absolute(p));
        let dir = if p.is_dir() { p } else { p.parent().map(Utf8Path::to_owned).unwrap_or_default() };
        if !out.contains(&dir) {
            out.push(dir);
        }
    }
    out
}

/// The folder in which `ansible_collections` lies, which may itself be what was named.
fn above_collections(root: Utf8PathBuf) -> Utf8PathBuf {
    match root.parent() {
        Some(above) if root.file_name() == Some("ansible_collections") => above.to_owned(),
        _ => root,
    }
}

/// The path from the root.
pub fn absolute(p: &Utf8Path) -> Utf8PathBuf {
    if p.is_absolute() {
        return p.to_owned();
    }
    let cwd = std::env::current_dir().ok().and_then(|c| Utf8PathBuf::from_path_buf(c).ok()).unwrap_or_default();
    cwd.join(p)
}

impl Ready {
    pub fn new(w: &Wanted) -> Result<Ready> {
        let config = Config::load()?;
        let options = options(&config, w)?;
        let mut screen = Screen::of_stdout(options.verbosity);
        adjust(&mut screen, &config)?;
        screen.check = options.check;
        open_log(&config, options.verbosity)?;
        config.tell(options.verbosity)?;
        let sink = callbacks(&config, w, &screen)?;
        for t in &config.warnings {
            crate::output::show_warning(t, screen.color);
        }
        if !config.unknown.is_empty() {
            crate::output::show_warning(
                &format!("these settings are not supported and have no effect: {}", config.unknown.join(", ")),
                screen.color,
            );
        }
        let secrets = Arc::new(secrets(w.vault, &config)?);
        let extra = extra_vars(&w.run.extra_vars, &secrets)?;
        if let Some(words) = extra.get("_raw_params") {
            let text = format!("the extra variables hold no key=value pair in '{}'", words.to_str());
            crate::output::show_warning(&text, screen.color);
        }
        let sources = sources(&config, w.inventory);
        let facts = fact_cache(&screen)?;
        let inventory = load_inventory(&sources, &secrets, &config, &screen, &extra, &facts)?;
        let engine = Engine::new(EngineOptions::default());
        let limit = limit(&inventory, w.inventory.limit.as_deref(), &screen)?;
        let info = RunInfo {
            check: options.check,
            diff: options.diff,
            forks: options.forks,
            verbosity: options.verbosity,
            limit: options.limit.clone(),
            run_tags: options.tags.clone(),
            skip_tags: options.skip_tags.clone(),
            inventory_sources: sources
                .iter()
                .map(|s| if s.contains(',') { s.clone() } else { absolute(s.as_str().into()).to_string() })
                .collect(),
            config_file: config.file.as_ref().map(|f| f.to_string()),
            connection: connection_vars(&options.defaults)?,
        };
        let globals = Globals::new(&info);
        let loader = Arc::new(make_loader(
            &config,
            &secrets,
            &engine,
            globals.all.clone(),
            &options.foreign,
            &w.run.module_path,
        ));
        let dirs = source_dirs(&sources);
        let store = Store::new(inventory, dirs, absolute(&w.base_dir), extra.clone(), globals, secrets.clone());
        let store = Arc::new(store.merging_hashes(merge_hashes(&config)?).with_cache(facts));
        if let (Some(cache), true) = (&store.cache, w.inventory.flush_cache) {
            flush(cache, &store.inventory());
        }
        Ok(Ready { config, secrets, extra, loader, engine, store, sink, options, limit, screen, sources })
    }

    /// The run itself.
    pub fn runner(self) -> Result<Arc<Runner>> {
        let pool = Arc::new(
            Pool::new(PoolOptions::default())
                .map_err(|e| Error::general(format!("cannot start the connections' runtime: {e}")))?,
        );
        let (sources, secrets, config, screen, extra) =
            (self.sources, self.secrets, self.config, self.screen, self.extra);
        let facts = self.store.cache.clone();
        let reload = Box::new(move || load_inventory(&sources, &secrets, &config, &screen, &extra, &facts));
        Runner::new(self.options, self.store, self.engine, self.loader, pool, self.sink, reload, self.limit)
    }

    /// One run of several, each with its own options, over the same connections and variables.
    pub fn runner_with(&self, options: Options, pool: Arc<Pool>) -> Result<Arc<Runner>> {
        let (sources, secrets, config, screen, extra) =
            (self.sources.clone(), self.secrets.clone(), self.config.clone(), self.screen.clone(), self.extra.clone());
        let facts = self.store.cache.clone();
        let reload = Box::new(move || load_inventory(&sources, &secrets, &config, &screen, &extra, &facts));
        let (store, engine, loader) = (self.store.clone(), self.engine.clone(), self.loader.clone());
        Runner::new(options, store, engine, loader, pool, self.sink.clone(), reload, self.limit.clone())
    }
}

/// The log file of the configuration.
fn open_log(c: &Config, verbosity: u8) -> Result<()> {
    let Some(path) = c.get("log_path").filter(|p| !p.is_empty()) else { return Ok(()) };
    let path = absolute(&Utf8PathBuf::from(crate::modules::expand_path(path)));
    crate::output::print::open_log(&path, c.number("log_verbosity")?.unwrap_or(verbosity))
}

/// Whether the configuration's callbacks count, which ad-hoc commands ask for by a setting of their own.
fn configured(c: &Config, w: &Wanted) -> Result<bool> {
    Ok(!w.adhoc || c.flag("bin_ansible_callbacks", false)?)
}

/// The name of the standard output's callback.
fn stdout_callback(c: &Config, w: &Wanted, configured: bool) -> String {
    match (w.one_line, configured) {
        (true, _) => "oneline".to_string(),
        (false, false) => "minimal".to_string(),
        (false, true) => match c.text("stdout_callback") {
            // the default of ad-hoc commands is another one
            None => (if w.adhoc { "minimal" } else { "default" }).to_string(),
            Some(n) if w.adhoc && n == "default" => "minimal".to_string(),
            Some(n) => n,
        },
    }
}

/// What ansible-core says of options and callbacks that it will drop.
fn deprecations(c: &Config, w: &Wanted) -> Result<Vec<String>> {
    const REMOVED: &str = "is deprecated. This feature will be removed from ansible-core version 2.23.";
    let mut out = vec![];
    for (used, option, callback) in [(w.one_line, "-o", "oneline"), (w.tree.is_some(), "-t", "tree")] {
        if used {
            let instead = format!("Use callback configuration to enable the {callback} callback instead.");
            out.push(format!("The '{option}' argument {REMOVED} {instead}"));
        }
    }
    let configured = configured(c, w)?;
    let mut names = vec![stdout_callback(c, w, configured)];
    if configured {
        names.extend(c.list("callbacks_enabled").into_iter().filter(|n| n.rsplit('.').next() == Some("tree")));
    }
    if w.tree.is_some() {
        names.push("tree".into());
    }
    for name in names {
        let name = name.trim_start_matches("ansible.builtin.");
        if matches!(name, "oneline" | "tree") {
            out.push(format!("The {name} callback plugin {REMOVED}"));
        }
    }
    out.dedup();
    Ok(out)
}

/// The callbacks of the run: that of the standard output and the enabled ones.
fn callbacks(c: &Config, w: &Wanted, screen: &Screen) -> Result<Arc<dyn Sink>> {
    let mut dirs = vec![absolute(&w.base_dir).join("callback_plugins")];
    dirs.extend(c.paths("callback_plugins").unwrap_or_default());
    let all = Callbacks { screen: screen.clone(), plugin_dirs: dirs };
    let configured = configured(c, w)?;
    let name = stdout_callback(c, w, configured);
    // the text first, then what is told besides it
    let mut sinks = vec![match &w.run.output {
        Some(format) => all.format(format)?,
        None => all.stdout(&name)?,
    }];
    if configured {
        sinks.extend(all.besides(&c.list("callbacks_enabled"), &name)?);
    }
    if let Some(dir) = &w.tree {
        sinks.push(Arc::new(Tree::new(crate::modules::expand_path(dir).into(), screen.clone())));
    }
    Ok(Arc::new(Tee(sinks)))
}

pub(super) fn adjust(s: &mut Screen, c: &Config) -> Result<()> {
    if c.flag("force_color", false)? {
        s.color = true;
    } else if c.get("nocolor").is_some_and(|v| !v.is_empty() && crate::value::parse_bool(v) != Some(false)) {
        s.color = false;
    }
    s.display_skipped_hosts = c.flag("display_skipped_hosts", true)?;
    s.display_ok_hosts = c.flag("display_ok_hosts", true)?;
    s.display_failed_stderr = c.flag("display_failed_stderr", false)?;
    s.display_args_to_stdout = c.flag("display_args_to_stdout", false)?;
    s.show_custom_stats = c.flag("show_custom_stats", false)?;
    s.show_per_host_start = c.flag("show_per_host_start", false)?;
    s.show_task_path_on_failure = c.flag("show_task_path_on_failure", false)?;
    s.check_mode_markers = c.flag("check_mode_markers", false)?;
    s.deprecation_warnings = c.flag("deprecation_warnings", true)?;
    s.diff_context = c.number("diff_context")?.unwrap_or(3);
    s.pretty_results = match c.get("callback_format_pretty") {
        Some(v) if !v.is_empty() => Some(c.flag("callback_format_pretty", false)?),
        _ => None,
    };
    if let Some(f) = c.get("callback_result_format") {
        if !matches!(f, "json" | "yaml") {
            return Err(Error::options(format!("callback_result_format: '{f}' is neither json nor yaml")));
        }
        s.result_format = f.into();
    }
    Ok(())
}

/// The fact cache of the configuration, if there is one that can be used.
pub(super) fn fact_cache(screen: &Screen) -> Result<Option<Arc<FactCache>>> {
    let (cache, warnings) = FactCache::open(&crate::settings::current())?;
    for w in warnings {
        crate::output::show_warning(&w, screen.color);
    }
    Ok(cache.map(Arc::new))
}

/// `--flush-cache`: all hosts of the inventory are forgotten, whatever the limit.
pub(super) fn flush(cache: &FactCache, inv: &Inventory) {
    inv.hosts.keys().for_each(|h| cache.delete(h));
    cache.delete("localhost"); // the implicit one is in no inventory
}

pub(super) fn load_inventory(
    sources: &[String],
    secrets: &Arc<Secrets>,
    c: &Config,
    screen: &Screen,
    extra: &Map,
    facts: &Option<Arc<FactCache>>,
) -> Result<Inventory> {
    let mut options = LoadOptions {
        facts: facts.clone(),
        secrets: secrets.clone(),
        unparsed_warning: c.flag("inventory_unparsed_warning", true)?,
        unparsed_is_failed: c.flag("inventory_unparsed_failed", false)?,
        any_unparsed_is_failed: c.flag("inventory_any_unparsed_failed", false)?,
        ..LoadOptions::default()
    };
    if c.get("inventory_enabled").is_some() {
        options.enabled = c.list("inventory_enabled");
    }
    options.ignore_patterns = c.list("inventory_ignore_patterns");
    if let Some(t) = c.get("group_chars") {
        options.group_chars = t.parse().map_err(Error::options)?;
    }
    options.extra_vars = extra.clone();
    if screen.verbosity > 2 {
        options.note = Some(|text| crate::output::print::out(text, crate::output::Style::Verbose, false));
    }
    if c.get("inventory_ignore_extensions").is_some() {
        options.ignore_extensions = c.list("inventory_ignore_extensions");
    }
    let mut warnings = vec![];
    let inv = Inventory::load_telling(sources, &options, &mut warnings);
    for w in warnings {
        crate::output::show_warning(&w.in_full(), screen.color);
    }
    inv
}

fn limit(inv: &Inventory, pattern: Option<&str>, screen: &Screen) -> Result<Option<HashSet<Arc<str>>>> {
    let Some(p) = pattern.filter(|p| !p.is_empty()) else { return Ok(None) };
    let hosts = inv.select_limit(p)?;
    for w in inv.take_warnings() {
        crate::output::show_warning(&w, screen.color);
    }
    if hosts.is_empty() {
        return Err(Error::general(
            "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.",
        )
        .help("see the hosts that a pattern selects with dirigo inventory --list --limit PATTERN"));
    }
    Ok(Some(hosts.into_iter().collect()))
}

fn make_loader(
    c: &Config,
    secrets: &Arc<Secrets>,
    engine: &Engine,
    globals: Map,
    foreign: &crate::actions::foreign::Settings,
    module_path: &[String],
) -> Loader {
    let home = |p: &str| Utf8PathBuf::from(crate::modules::expand_path(p));
    let roles_path = c.paths("roles_path").unwrap_or_else(|| {
        vec![home("~/.ansible/roles"), "/usr/share/ansible/roles".into(), "/etc/ansible/roles".into()]
    });
    let collections_path = c
        .paths("collections_path")
        .map(|roots| roots.into_iter().map(above_collections).collect())
        .unwrap_or_else(|| vec![home("~/.ansible/collections"), "/usr/share/ansible/collections".into()]);
    let library = super::modules::library(c, foreign, module_path, &collections_path);
    let (s, e) = (secrets.clone(), engine.clone());
    Loader::new(LoaderOptions {
        roles_path,
        collections_path,
        decrypt: Box::new(move |t| {
            let bytes = s.decrypt(t)?;
            String::from_utf8(bytes).map_err(|_| Error::parse("the vaulted file is not valid UTF-8"))
        }),
        render: Box::new(move |v, layers| {
            let mut all = globals.clone();
            for l in layers {
                all.extend(l.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
            e.render(v, &Scope::new(Arc::new(MapVars(all)), Arc::new(FileScope::default())))
        }),
        library: Arc::new(library),
    })
}

/// Whether dicts of one name are merged (`hash_behaviour`).
fn merge_hashes(c: &Config) -> Result<bool> {
    match c.get("hash_behaviour").unwrap_or("replace") {
        "replace" => Ok(false),
        "merge" => Ok(true),
        other => Err(Error::options(format!(
            "Invalid value \"{other}\" for configuration option \"setting: DEFAULT_HASH_BEHAVIOUR \", valid values are: replace, merge"
        ))),
    }
}
