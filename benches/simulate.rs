//! Growth of the controller with the number of hosts: plays against agents that live in the same process, answer after a
//! modelled latency and do nothing. Prints processor time and peak memory of whole runs, per host and in total, and what
//! parsing of large inventories and playbooks costs.
//!
//!     cargo bench --bench simulate [-- HOSTS...]        default: 1000 2000 5000 10000
//!
//! Each figure is that of one process: this program starts itself for every run and reads the child's use of resources.

use dirigo::proto::{FrameBuf, FrameKind, Hello, Response, encode};
use dirigo::transport::{Channel, simulate};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Time until an agent says hello, and until it has answered a request.
const HANDSHAKE: Duration = Duration::from_millis(200);
const ROUND_TRIP: Duration = Duration::from_millis(20);

fn main() {
    if std::env::var_os("DIRIGO_SIMULATE").is_some() {
        simulate(|_| agent());
        std::process::exit(dirigo::cli::main());
    }
    let mut sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1000, 2000, 5000, 10000];
    }
    let dir = tempfile::tempdir().expect("a directory");
    println!("{:<44}{:>9}{:>10}{:>14}{:>12}", "run", "hosts", "CPU s", "CPU ms/host", "peak MB");
    for (name, play) in
        [("connect, then 5 tasks on every host", TASKS), ("hostvars of every host, rendered by one", HOSTVARS)]
    {
        let mut before: Option<(usize, Use)> = None;
        for n in &sizes {
            let (hosts, book) = (dir.path().join("hosts.ini"), dir.path().join("play.yml"));
            fs::write(&hosts, ini(*n)).expect("written");
            fs::write(&book, play).expect("written");
            let used = run(&["playbook", "-i", text(&hosts), "-f", "100", text(&book)]);
            line(name, *n, used);
            if let Some((m, b)) = before {
                let per = (used.peak - b.peak) * 1024.0 / (n - m) as f64;
                println!(
                    "    growth from {m} to {n}: {per:.1} kB of memory and {:.2} ms for each host",
                    (used.cpu - b.cpu) * 1000.0 / (n - m) as f64
                );
            }
            before = Some((*n, used));
        }
    }
    for (name, text_of) in
        [("inventory of 50,000 hosts, INI", ini as fn(usize) -> String), ("inventory of 50,000 hosts, YAML", yaml)]
    {
        let file = dir.path().join(if name.ends_with("INI") { "big.ini" } else { "big.yml" });
        fs::write(&file, text_of(50_000)).expect("written");
        line(name, 50_000, run(&["inventory", "-i", text(&file), "--host", "h7"]));
    }
    let book = dir.path().join("long.yml");
    fs::write(&book, long_play(5000)).expect("written");
    line(
        "playbook of 5,000 tasks, syntax check",
        1,
        run(&["playbook", "-i", "localhost,", "--syntax-check", text(&book)]),
    );
}

const TASKS: &str = "- hosts: all
  gather_facts: false
  tasks:
    - ping:
    - command: 'echo {{ inventory_hostname }} {{ number }}'
      register: said
    - debug: {msg: '{{ said.rc }}'}
    - lineinfile: {path: /etc/hosts, line: '{{ inventory_hostname }} {{ site }}'}
    - ping:
";

const HOSTVARS: &str = "- hosts: h0
  gather_facts: false
  tasks:
    - set_fact:
        all_of_them: \"{% for h in groups['all'] %}{{ hostvars[h].number }} {{ hostvars[h].site }}\n{% endfor %}\"
";

fn text(p: &Path) -> &str {
    p.to_str().expect("a path in UTF-8")
}

fn ini(n: usize) -> String {
    let mut t = String::new();
    for site in 0..50 {
        let _ = writeln!(t, "[site{site}]");
        for i in (site..n).step_by(50) {
            let _ = writeln!(t, "h{i} ansible_host=10.0.{}.{} number={i} rack=r{}", i / 250, i % 250, i % 40);
        }
        let _ = writeln!(t, "[site{site}:vars]\nsite=s{site}\nntp=ntp{site}.example.org");
    }
    t
}

fn yaml(n: usize) -> String {
    let mut t = String::from("all:\n  children:\n");
    for site in 0..50 {
        let _ = writeln!(t, "    site{site}:\n      vars: {{site: s{site}, ntp: ntp{site}.example.org}}\n      hosts:");
        for i in (site..n).step_by(50) {
            let _ = writeln!(
                t,
                "        h{i}:\n          ansible_host: 10.0.{}.{}\n          number: {i}\n          rack: r{}",
                i / 250,
                i % 250,
                i % 40
            );
        }
    }
    t
}

fn long_play(n: usize) -> String {
    let mut t = String::from("- hosts: all\n  gather_facts: false\n  tasks:\n");
    for i in 0..n {
        let _ = writeln!(
            t,
            "    - name: Task {i}\n      command: \"echo {{{{ inventory_hostname }}}} {i}\"\n      when: number is defined and number > {i}\n      register: r{i}"
        );
    }
    t
}

/// What a run cost: processor seconds and the largest resident size in MB.
#[derive(Clone, Copy)]
struct Use {
    cpu: f64,
    peak: f64,
}

fn line(name: &str, n: usize, u: Use) {
    println!("{name:<44}{n:>9}{:>10.2}{:>14.3}{:>12.1}", u.cpu, u.cpu * 1000.0 / n as f64, u.peak);
}

#[allow(clippy::zombie_processes)] // wait4 takes it, and says what it used
fn run(args: &[&str]) -> Use {
    let me = std::env::current_exe().expect("a program");
    let mut command = Command::new(me);
    command.args(args).env("DIRIGO_SIMULATE", "1").env("ANSIBLE_STDOUT_CALLBACK", "default").stdout(Stdio::null());
    let child = command.spawn().expect("it starts");
    let (mut status, mut usage) = (0, unsafe { std::mem::zeroed::<libc::rusage>() });
    // SAFETY: the child is ours, status and usage outlive the call.
    unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    assert_eq!(libc::WEXITSTATUS(status), 0, "{args:?} failed");
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Use { cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime), peak: usage.ru_maxrss as f64 / 1024.0 }
}

/// The other end of a connection: a greeting, and the same answer to every request.
fn agent() -> Channel {
    let (ours, theirs) = tokio::io::duplex(16 << 10);
    let (stdout, stdin) = tokio::io::split(ours);
    let (tell, exit) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(theirs);
        let hello = Hello {
            version: dirigo::agent::VERSION.into(),
            pid: 1,
            user: "root".into(),
            whole: true,
            ..Hello::default()
        };
        let answer = json!({"changed": false, "rc": 0, "ping": "pong", "stdout": "x", "stderr": "", "msg": ""});
        let answer = serde_json::to_vec(&Response { result: answer.as_object().cloned().unwrap_or_default() })
            .unwrap_or_default();
        let say = |kind, id, body: &[u8]| encode(kind, id, body).unwrap_or_default();
        tokio::time::sleep(HANDSHAKE).await;
        let _ = to.write_all(&say(FrameKind::Hello, 0, &serde_json::to_vec(&hello).unwrap_or_default())).await;
        let (mut buf, mut part) = (FrameBuf::default(), vec![0u8; 2048]);
        while let Ok(n @ 1..) = from.read(&mut part).await {
            buf.push(&part[..n]);
            while let Ok(Some(f)) = buf.next_frame() {
                let reply = match f.kind {
                    FrameKind::Request => {
                        tokio::time::sleep(ROUND_TRIP).await;
                        say(FrameKind::Response, f.id, &answer)
                    }
                    FrameKind::Ping => say(FrameKind::Pong, f.id, &[]),
                    _ => continue,
                };
                let _ = to.write_all(&reply).await;
            }
        }
        drop(tell);
    });
    Channel { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(tokio::io::empty()), exit }
}
