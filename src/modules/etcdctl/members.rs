//! Members: listing with health, removing, adding, changing peer URLs.

use super::client::{Client, Health, failure};
use crate::modules::{Args, Ctx, Diff, Failure, ModResult, Outcome};
use serde_json::{Value as Json, json};

/// A member as the cluster lists it, with what its own client URL says of it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Hexadecimal, without leading zeros, as etcdctl takes it.
    pub id: String,
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub started: bool,
    pub healthy: bool,
    pub leader: bool,
    health: Option<Health>,
}

/// Members that a cluster of `n` must have in agreement.
pub fn quorum(n: usize) -> usize {
    n / 2 + 1
}

pub fn client_urls(list: &[Member]) -> Vec<String> {
    list.iter().filter_map(|m| m.client_urls.first().cloned()).collect()
}

fn parse_v3(text: &[u8]) -> Result<Vec<Member>, Failure> {
    let j: Json =
        serde_json::from_slice(text).map_err(|e| Failure::new(format!("cannot read the member list: {e}")))?;
    let texts = |v: &Json| -> Vec<String> {
        v.as_array().into_iter().flatten().filter_map(|x| x.as_str().map(str::to_string)).collect()
    };
    let mut out = vec![];
    for m in j["members"].as_array().into_iter().flatten() {
        let id = m["ID"].as_u64().ok_or("the member list has an id that is no whole number")?;
        let name = m["name"].as_str().unwrap_or("").to_string();
        out.push(Member {
            id: format!("{id:x}"),
            started: !name.is_empty(),
            name,
            peer_urls: texts(&m["peerURLs"]),
            client_urls: texts(&m["clientURLs"]),
            healthy: false,
            leader: false,
            health: None,
        });
    }
    Ok(out)
}

/// `ID[unstarted]: name=N peerURLs=A,B clientURLs=C isLeader=true`
fn parse_v2(text: &str) -> Vec<Member> {
    let mut out = vec![];
    for l in text.lines() {
        let Some((head, rest)) = l.split_once(": ") else { continue };
        let started = !head.contains("[unstarted]");
        let id = head.split('[').next().unwrap_or("").trim().to_string();
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit()) {
            continue;
        }
        let field = |n: &str| rest.split_whitespace().find_map(|w| w.strip_prefix(n)).unwrap_or("").to_string();
        let list = |n: &str| field(n).split(',').filter(|s| !s.is_empty()).map(str::to_string).collect::<Vec<_>>();
        out.push(Member {
            id,
            started,
            name: field("name="),
            peer_urls: list("peerURLs="),
            client_urls: list("clientURLs="),
            healthy: false,
            leader: field("isLeader=") == "true",
            health: None,
        });
    }
    out
}

fn list(c: &Client) -> Result<Vec<Member>, Failure> {
    if c.api == 2 {
        let o = c.must(&["member", "list"], "member list")?;
        return Ok(parse_v2(&o.out()));
    }
    let o = c.must(&["member", "list", "-w", "json"], "member list")?;
    parse_v3(&o.stdout)
}

/// Every member, asked for its health by its own client URL.
pub fn with_health(c: &Client) -> Result<Vec<Member>, Failure> {
    let mut all = list(c)?;
    if c.api == 2 {
        let o = c.run(&["cluster-health"])?;
        for l in o.out().lines() {
            let Some(rest) = l.strip_prefix("member ") else { continue };
            let id = rest.split_whitespace().next().unwrap_or("");
            if let Some(m) = all.iter_mut().find(|m| m.id == id) {
                m.healthy = rest.contains(" is healthy");
            }
        }
        return Ok(all);
    }
    let urls = client_urls(&all);
    let health = c.health(&urls)?;
    let status = c.status(&health.iter().filter(|h| h.healthy).map(|h| h.endpoint.clone()).collect::<Vec<_>>());
    let leader =
        status.as_array().into_iter().flatten().find_map(|s| s["Status"]["leader"].as_u64()).map(|l| format!("{l:x}"));
    for m in &mut all {
        m.leader = leader.as_deref() == Some(m.id.as_str());
        if let Some(u) = m.client_urls.first()
            && let Some(h) = health.iter().find(|h| h.endpoint == *u)
        {
            m.healthy = h.healthy;
            m.health = Some(h.clone());
        }
    }
    Ok(all)
}

fn json_of(list: &[Member]) -> Json {
    list.iter()
        .map(|m| {
            json!({"id": m.id, "name": m.name, "peer_urls": m.peer_urls, "client_urls": m.client_urls, "started": m.started,
                   "healthy": m.healthy, "is_leader": m.leader})
        })
        .collect()
}

/// The result keys that every read has.
pub fn report(list: &[Member]) -> Outcome {
    let healthy = list.iter().filter(|m| m.healthy).count();
    let endpoints: Vec<Json> = list
        .iter()
        .filter_map(|m| m.health.as_ref())
        .map(|h| json!({"endpoint": h.endpoint, "healthy": h.healthy, "took": h.took, "error": h.error}))
        .collect();
    Outcome::ok()
        .set("members", json_of(list))
        .set("healthy", !list.is_empty() && healthy == list.len())
        .set("healthy_count", healthy)
        .set("quorum", quorum(list.len()))
        .set("endpoints", endpoints)
}

/// The members that a task names.
fn matching<'a>(list: &'a [Member], a: &Args) -> Vec<&'a Member> {
    let name = a.opt_str("name").filter(|n| !n.is_empty());
    let peers: Vec<String> =
        a.strings("peer_urls").iter().map(|u| u.trim_end_matches('/').to_string()).filter(|u| !u.is_empty()).collect();
    list.iter()
        .filter(|m| {
            name == Some(m.name.as_str())
                || m.peer_urls.iter().any(|p| peers.iter().any(|x| x == p.trim_end_matches('/')))
        })
        .collect()
}

fn lines(list: &[Member]) -> String {
    let mut t = String::new();
    for m in list {
        t.push_str(&format!("- name: {}\n  id: {}\n  peer_urls: [{}]\n", m.name, m.id, m.peer_urls.join(", ")));
    }
    t
}

fn with_diff(o: Outcome, before: &[Member], after: &[Member]) -> Outcome {
    o.with_diff(Diff::new(lines(before), lines(after)).headers("etcd members", "etcd members"))
}

/// Why this member must not go, if so.
fn refusal(list: &[Member], gone: &Member) -> Option<String> {
    let rest: Vec<&Member> = list.iter().filter(|m| m.id != gone.id).collect();
    if rest.is_empty() {
        return Some(format!("{} is the last member of the cluster", gone.name));
    }
    let sick: Vec<&str> = rest
        .iter()
        .filter(|m| !m.healthy)
        .map(|m| if m.name.is_empty() { m.id.as_str() } else { m.name.as_str() })
        .collect();
    if !sick.is_empty() {
        let well = rest.len() - sick.len();
        return Some(format!(
            "{} of the {} members that would remain {} not healthy ({}); {well} healthy of a quorum of {} would be left",
            sick.len(),
            rest.len(),
            if sick.len() == 1 { "is" } else { "are" },
            sick.join(", "),
            quorum(rest.len())
        ));
    }
    None
}

/// Removes a member once, through one that stays.
pub fn absent(ctx: &mut Ctx, a: &Args) -> ModResult {
    if a.str("name").is_empty() && a.strings("peer_urls").iter().all(String::is_empty) {
        return Err("state is absent but any of the following are missing: name, peer_urls".into());
    }
    let c = Client::new(ctx, a)?;
    let before = with_health(&c)?;
    let found = matching(&before, a);
    let gone = match found.as_slice() {
        [] => return Ok(report(&before).set("actions", json!([]))),
        [one] => (*one).clone(),
        many => {
            let names: Vec<String> = many.iter().map(|m| format!("{} ({})", m.name, m.id)).collect();
            return Err(Failure::new(format!("refused: {} members match: {}", many.len(), names.join(", ")))
                .set("members", json_of(&before)));
        }
    };
    if !a.bool("force")
        && let Some(why) = refusal(&before, &gone)
    {
        return Err(Failure::new(format!(
            "refused: {why}; the member {} was not removed (force overrides this)",
            gone.name
        ))
        .set("members", json_of(&before))
        .set("quorum", quorum(before.len())));
    }
    let action = format!("member remove {} ({})", gone.id, gone.name);
    let rest: Vec<Member> = before.iter().filter(|m| m.id != gone.id).cloned().collect();
    if ctx.check {
        let mut o = report(&rest).set("actions", json!([action]));
        o.changed = true;
        return Ok(with_diff(o, &before, &rest));
    }
    let mut urls: Vec<String> = client_urls(&rest.iter().filter(|m| m.healthy).cloned().collect::<Vec<_>>());
    if urls.is_empty() {
        urls = c.endpoints().to_vec();
    }
    let through = c.at(&urls);
    let o = through.run(&["member", "remove", &gone.id])?;
    let after = list(&through)?;
    if after.iter().any(|m| m.id == gone.id) {
        return Err(failure(&o, &format!("member remove {}", gone.id)).set("members", json_of(&before)));
    }
    let after = with_health(&through).unwrap_or(after);
    let mut out = report(&after).set("actions", json!([action]));
    out.changed = true;
    Ok(with_diff(out, &before, &after))
}

/// Adds a member that is not there.
pub fn present(ctx: &mut Ctx, a: &Args) -> ModResult {
    let c = Client::new(ctx, a)?;
    let before = with_health(&c)?;
    let (name, peers) = (a.str("name").to_string(), a.strings("peer_urls"));
    if !matching(&before, a).is_empty() {
        return Ok(report(&before).set("actions", json!([])));
    }
    let action = format!("member add {name} {}", peers.join(","));
    let mut expected = before.clone();
    expected.push(Member {
        id: String::new(),
        name: name.clone(),
        peer_urls: peers.clone(),
        client_urls: vec![],
        started: false,
        healthy: false,
        leader: false,
        health: None,
    });
    if ctx.check {
        let mut o = report(&expected).set("actions", json!([action]));
        o.changed = true;
        return Ok(with_diff(o, &before, &expected));
    }
    let urls = peers.join(",");
    if c.api == 2 {
        c.must(&["member", "add", &name, &urls], "member add")?;
    } else {
        c.must(&["member", "add", &name, &format!("--peer-urls={urls}")], "member add")?;
    }
    let after = with_health(&c)?;
    let mut o = report(&after).set("actions", json!([action]));
    o.changed = true;
    Ok(with_diff(o, &before, &after))
}

/// Gives a member other peer URLs.
pub fn updated(ctx: &mut Ctx, a: &Args) -> ModResult {
    let c = Client::new(ctx, a)?;
    let before = with_health(&c)?;
    let (name, peers) = (a.str("name"), a.strings("peer_urls"));
    let Some(m) = before.iter().find(|m| m.name == name) else {
        return Err(Failure::new(format!("there is no member named {name}")).set("members", json_of(&before)));
    };
    if m.peer_urls == peers {
        return Ok(report(&before).set("actions", json!([])));
    }
    let action = format!("member update {} {}", m.id, peers.join(","));
    let mut expected = before.clone();
    for x in expected.iter_mut().filter(|x| x.id == m.id) {
        x.peer_urls.clone_from(&peers);
    }
    if ctx.check {
        let mut o = report(&expected).set("actions", json!([action]));
        o.changed = true;
        return Ok(with_diff(o, &before, &expected));
    }
    let urls = peers.join(",");
    if c.api == 2 {
        c.must(&["member", "update", &m.id, &urls], "member update")?;
    } else {
        c.must(&["member", "update", &m.id, &format!("--peer-urls={urls}")], "member update")?;
    }
    let after = with_health(&c)?;
    let mut o = report(&after).set("actions", json!([action]));
    o.changed = true;
    Ok(with_diff(o, &before, &after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three(sick: &[usize]) -> Vec<Member> {
        let text = br#"{"header":{},"members":[{"ID":18028722028808219690,"name":"a","peerURLs":["https://a:2380"],"clientURLs":["https://a:2379"]},{"ID":515890143,"name":"b","peerURLs":["https://b:2380"],"clientURLs":["https://b:2379"]},{"ID":7,"name":"c","peerURLs":["https://c:2380"],"clientURLs":["https://c:2379"]}]}"#;
        let mut l = parse_v3(text).expect("parses");
        for (i, m) in l.iter_mut().enumerate() {
            m.healthy = !sick.contains(&i);
        }
        l
    }

    #[test]
    fn ids_are_unsigned_and_hexadecimal() {
        let l = three(&[]);
        assert_eq!(l[0].id, "fa32e32a395fac2a");
        assert_eq!(l[1].id, "1ebfdbdf");
    }

    #[test]
    fn removal_is_refused_when_it_would_hurt() {
        assert_eq!(refusal(&three(&[]), &three(&[])[0]), None);
        // the sick one itself may go
        assert_eq!(refusal(&three(&[0]), &three(&[0])[0]), None);
        assert!(refusal(&three(&[1]), &three(&[1])[0]).is_some_and(|w| w.contains("(b)")));
        let one = three(&[])[..1].to_vec();
        assert!(refusal(&one, &one[0]).is_some_and(|w| w.contains("last member")));
    }

    #[test]
    fn api_two_lines() {
        let l = parse_v2(
            "72f5936b27a0577: name=m0 peerURLs=https://a:2380 clientURLs=https://a:2379 isLeader=true\nabc[unstarted]: peerURLs=https://b:2380\n",
        );
        assert_eq!(l.len(), 2);
        assert_eq!((l[0].id.as_str(), l[0].leader, l[1].started), ("72f5936b27a0577", true, false));
    }

    #[test]
    fn quorums() {
        assert_eq!([1, 2, 3, 4, 5].map(quorum), [1, 2, 2, 3, 3]);
    }
}
