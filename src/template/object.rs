//! Maps, lists and scopes as template objects: members are converted or rendered when touched.

use super::convert::{carry, key_from_mj, key_to_mj, to_mj};
use super::engine::Inner;
use super::scope::Scope;
use super::{Var, Vars};
use crate::value::{Map, Value};
use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Mj};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// The engine and the scope that a lazy member is rendered with.
#[derive(Clone)]
pub(super) struct Renderer {
    pub engine: Arc<Inner>,
    pub scope: Scope,
}

/// A mapping. With a renderer, members that are templates are rendered on first touch and kept.
pub struct MapObj {
    map: Arc<Map>,
    lazy: Option<(Renderer, Mutex<HashMap<usize, Mj>>)>,
}

impl fmt::Debug for MapObj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MapObj")
    }
}

impl MapObj {
    /// A mapping with nothing to render in it.
    pub fn plain(map: Arc<Map>) -> MapObj {
        MapObj { map, lazy: None }
    }
    pub(super) fn lazy(map: Arc<Map>, r: Renderer) -> MapObj {
        MapObj { map, lazy: Some((r, Mutex::default())) }
    }
    /// The map itself, if nothing in it has to be rendered.
    pub fn as_plain(&self) -> Option<&Arc<Map>> {
        self.lazy.is_none().then_some(&self.map)
    }
    fn member(&self, index: usize, v: &Value) -> Mj {
        member(self.lazy.as_ref(), index, v)
    }
}

type Lazy = (Renderer, Mutex<HashMap<usize, Mj>>);

fn member(lazy: Option<&Lazy>, index: usize, v: &Value) -> Mj {
    let Some((r, cache)) = lazy else { return to_mj(v) };
    if let Some(hit) = cache.lock().unwrap_or_else(|e| e.into_inner()).get(&index) {
        return hit.clone();
    }
    match r.engine.lazy_value(v, r) {
        Ok(mj) => {
            cache.lock().unwrap_or_else(|e| e.into_inner()).insert(index, mj.clone());
            mj
        }
        Err(e) => Mj::from(carry(e)),
    }
}

impl Object for MapObj {
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        let (i, _, v) = match key.as_str() {
            Some(s) => self.map.get_full(s)?,
            None => self.map.get_full(&key_from_mj(key).ok()?)?,
        };
        Some(self.member(i, v))
    }
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Mj> {
        let (i, _, v) = self.map.get_full(key)?;
        Some(self.member(i, v))
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.map.keys().map(key_to_mj).collect())
    }
    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.map.len())
    }
}

/// A list; like [`MapObj`].
pub struct ListObj {
    list: Arc<Vec<Value>>,
    lazy: Option<Lazy>,
}

impl fmt::Debug for ListObj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListObj")
    }
}

impl ListObj {
    /// A list with nothing to render in it.
    pub fn plain(list: Arc<Vec<Value>>) -> ListObj {
        ListObj { list, lazy: None }
    }
    pub(super) fn lazy(list: Arc<Vec<Value>>, r: Renderer) -> ListObj {
        ListObj { list, lazy: Some((r, Mutex::default())) }
    }
    /// The list itself, if nothing in it has to be rendered.
    pub fn as_plain(&self) -> Option<&Arc<Vec<Value>>> {
        self.lazy.is_none().then_some(&self.list)
    }
}

impl Object for ListObj {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        let i = key.as_usize()?;
        Some(member(self.lazy.as_ref(), i, self.list.get(i)?))
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.list.len())
    }
}

/// A scope as a mapping: the root of every template, `vars`, `hostvars`, `hostvars[host]`.
pub(super) struct ScopeObj {
    pub r: Renderer,
}

impl fmt::Debug for ScopeObj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScopeObj")
    }
}

impl ScopeObj {
    pub fn of(engine: &Arc<Inner>, scope: &Scope) -> ScopeObj {
        ScopeObj { r: Renderer { engine: engine.clone(), scope: scope.clone() } }
    }
    pub fn vars(&self) -> &Arc<dyn Vars> {
        &self.r.scope.vars
    }
}

impl Object for ScopeObj {
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        self.get_value_by_str(key.as_str()?)
    }
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Mj> {
        let r = &self.r;
        if let Some(hit) = r.scope.cache.lock().unwrap_or_else(|e| e.into_inner()).get(key) {
            return Some(hit.clone());
        }
        let made = match r.scope.vars.get(key) {
            Ok(None) => return None,
            Err(e) => return Some(Mj::from(carry(e))),
            Ok(Some(Var::Scope(vars))) => {
                Mj::from_object(ScopeObj { r: Renderer { engine: r.engine.clone(), scope: r.scope.over(vars) } })
            }
            Ok(Some(Var::Raw(v))) => match r.engine.lazy_variable(key, &v, r) {
                Ok(mj) => mj,
                Err(e) => return Some(Mj::from(carry(e))),
            },
        };
        r.scope.cache.lock().unwrap_or_else(|e| e.into_inner()).insert(key.into(), made.clone());
        Some(made)
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.vars().names().into_iter().map(Mj::from).collect())
    }
}
