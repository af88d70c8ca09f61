//! The one place with `unsafe` in this room: a safe face for libyaml (as translated to Rust by
//! unsafe-libyaml, which serde_yaml stands on too).
//!
//! libyaml is what PyYAML's C loader and dumper call, so accepting, refusing, error words, places and
//! written layout are Ansible's own by construction. Every pointer from libyaml is copied into owned
//! Rust values before the event it belongs to is freed.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use unsafe_libyaml as unsafe_y;

/// A place as libyaml counts it: bytes from the start of the text; line and column (in characters) from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub index: usize,
    pub line: usize,
    pub column: usize,
}

impl Mark {
    fn from_raw(m: unsafe_y::yaml_mark_t) -> Mark {
        Mark { index: m.index as usize, line: m.line as usize, column: m.column as usize }
    }
}

/// How a scalar was (or shall be) written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Any,
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

/// One parsing event, with what the composer needs of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias(String),
    Scalar { value: String, style: Style, anchor: Option<String>, tag: Option<String> },
    SequenceStart { anchor: Option<String>, tag: Option<String> },
    SequenceEnd,
    MappingStart { anchor: Option<String>, tag: Option<String> },
    MappingEnd,
}

/// An event and where it stands.
#[derive(Clone, Debug)]
pub struct Spanned {
    pub event: Event,
    pub start: Mark,
    pub end: Mark,
}

/// What libyaml says about broken text.
#[derive(Clone, Debug)]
pub struct Problem {
    /// `while scanning a simple key`, if libyaml gave one.
    pub context: Option<String>,
    pub problem: String,
    pub mark: Mark,
    /// For characters that YAML does not allow: the code point.
    pub character: Option<u32>,
}

/// A parser over borrowed text.
pub struct Parser<'a> {
    // Boxed, because libyaml keeps a pointer to the parser inside the parser.
    raw: Box<MaybeUninit<unsafe_y::yaml_parser_t>>,
    done: bool,
    input: PhantomData<&'a str>,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Parser<'a> {
        let mut raw = Box::new(MaybeUninit::<unsafe_y::yaml_parser_t>::uninit());
        let p = raw.as_mut_ptr();
        // SAFETY: `p` points to memory of the right size that lives in a box; initialize fills it
        // before anything reads it (it cannot fail: allocation failure aborts). The input outlives
        // the parser by the lifetime 'a.
        unsafe {
            let _ = unsafe_y::yaml_parser_initialize(p);
            unsafe_y::yaml_parser_set_encoding(p, unsafe_y::YAML_UTF8_ENCODING);
            unsafe_y::yaml_parser_set_input_string(p, text.as_ptr(), text.len() as u64);
        }
        Parser { raw, done: false, input: PhantomData }
    }

    /// The next event; after `StreamEnd` or an error, always `StreamEnd`.
    pub fn next_event(&mut self) -> Result<Spanned, Problem> {
        if self.done {
            return Ok(Spanned { event: Event::StreamEnd, start: Mark::default(), end: Mark::default() });
        }
        let p = self.raw.as_mut_ptr();
        let mut raw = MaybeUninit::<unsafe_y::yaml_event_t>::uninit();
        // SAFETY: the parser was initialized in `new`; parse fills the event when it answers ok, and
        // the event is deleted exactly once, after its strings were copied.
        unsafe {
            if unsafe_y::yaml_parser_parse(p, raw.as_mut_ptr()).fail {
                self.done = true;
                return Err(problem(&*p));
            }
            let raw = raw.assume_init_mut();
            let spanned = Spanned {
                event: copy_event(raw),
                start: Mark::from_raw(raw.start_mark),
                end: Mark::from_raw(raw.end_mark),
            };
            unsafe_y::yaml_event_delete(raw);
            self.done = matches!(spanned.event, Event::StreamEnd);
            Ok(spanned)
        }
    }
}

impl Drop for Parser<'_> {
    fn drop(&mut self) {
        // SAFETY: initialized in `new`, deleted only here.
        unsafe { unsafe_y::yaml_parser_delete(self.raw.as_mut_ptr()) }
    }
}

/// SAFETY: `p` must be null or point to a NUL-terminated string that outlives the call.
unsafe fn text(p: *const u8) -> Option<String> {
    if p.is_null() {
        return None;
    }
    // SAFETY: by this function's contract.
    let s = unsafe { CStr::from_ptr(p.cast()) };
    Some(s.to_string_lossy().into_owned())
}

/// SAFETY: `p` must be a parser whose last call failed (its texts are static strings of libyaml).
unsafe fn problem(p: &unsafe_y::yaml_parser_t) -> Problem {
    // SAFETY: problem and context are null or static strings.
    let (context, words) = unsafe { (text(p.context.cast()), text(p.problem.cast())) };
    let reader = p.error == unsafe_y::YAML_READER_ERROR;
    Problem {
        context,
        problem: words.unwrap_or_else(|| "cannot be read".into()),
        mark: if reader {
            Mark { index: p.problem_offset as usize, line: 0, column: 0 }
        } else {
            Mark::from_raw(p.problem_mark)
        },
        character: reader.then_some(p.problem_value as u32),
    }
}

/// SAFETY: `e` must be an event that `yaml_parser_parse` filled and that was not deleted yet.
unsafe fn copy_event(e: &unsafe_y::yaml_event_t) -> Event {
    // SAFETY: the union member read is the one that the type names; its strings are NUL-terminated,
    // the scalar's value is `length` bytes.
    unsafe {
        match e.type_ {
            unsafe_y::YAML_STREAM_START_EVENT => Event::StreamStart,
            unsafe_y::YAML_DOCUMENT_START_EVENT => Event::DocumentStart,
            unsafe_y::YAML_DOCUMENT_END_EVENT => Event::DocumentEnd,
            unsafe_y::YAML_ALIAS_EVENT => Event::Alias(text(e.data.alias.anchor).unwrap_or_default()),
            unsafe_y::YAML_SCALAR_EVENT => {
                let s = &e.data.scalar;
                let bytes: &[u8] =
                    if s.value.is_null() { &[] } else { std::slice::from_raw_parts(s.value, s.length as usize) };
                Event::Scalar {
                    value: String::from_utf8_lossy(bytes).into_owned(),
                    style: match s.style {
                        unsafe_y::YAML_SINGLE_QUOTED_SCALAR_STYLE => Style::Single,
                        unsafe_y::YAML_DOUBLE_QUOTED_SCALAR_STYLE => Style::Double,
                        unsafe_y::YAML_LITERAL_SCALAR_STYLE => Style::Literal,
                        unsafe_y::YAML_FOLDED_SCALAR_STYLE => Style::Folded,
                        _ => Style::Plain,
                    },
                    anchor: text(s.anchor),
                    tag: text(s.tag),
                }
            }
            unsafe_y::YAML_SEQUENCE_START_EVENT => {
                let s = &e.data.sequence_start;
                Event::SequenceStart { anchor: text(s.anchor), tag: text(s.tag) }
            }
            unsafe_y::YAML_SEQUENCE_END_EVENT => Event::SequenceEnd,
            unsafe_y::YAML_MAPPING_START_EVENT => {
                let s = &e.data.mapping_start;
                Event::MappingStart { anchor: text(s.anchor), tag: text(s.tag) }
            }
            unsafe_y::YAML_MAPPING_END_EVENT => Event::MappingEnd,
            _ => Event::StreamEnd,
        }
    }
}

/// A writer of events into a string.
pub struct Emitter {
    raw: Box<MaybeUninit<unsafe_y::yaml_emitter_t>>,
    // Boxed, because libyaml keeps a pointer to it.
    #[allow(clippy::box_collection)]
    out: Box<Vec<u8>>,
}

/// SAFETY: called by libyaml with the pointer given to `yaml_emitter_set_output` and a buffer of `size` bytes.
unsafe fn write_handler(data: *mut std::ffi::c_void, buffer: *mut u8, size: u64) -> i32 {
    // SAFETY: `data` is the boxed vector of the emitter that is writing; nothing else borrows it meanwhile.
    unsafe {
        let out = &mut *data.cast::<Vec<u8>>();
        out.extend_from_slice(std::slice::from_raw_parts(buffer, size as usize));
    }
    1
}

impl Emitter {
    /// `width` -1 is unlimited; `unicode` leaves characters beyond ASCII as they are; `canonical` is YAML's form
    /// with every tag and quote.
    pub fn new(indent: i32, width: i32, unicode: bool, canonical: bool) -> Emitter {
        let mut raw = Box::new(MaybeUninit::<unsafe_y::yaml_emitter_t>::uninit());
        let mut out = Box::new(Vec::new());
        let p = raw.as_mut_ptr();
        // SAFETY: initialize fills the boxed memory; both boxes live as long as the emitter and do not move.
        unsafe {
            let _ = unsafe_y::yaml_emitter_initialize(p);
            unsafe_y::yaml_emitter_set_output(p, write_handler, ptr::from_mut::<Vec<u8>>(&mut out).cast());
            unsafe_y::yaml_emitter_set_encoding(p, unsafe_y::YAML_UTF8_ENCODING);
            unsafe_y::yaml_emitter_set_indent(p, indent);
            unsafe_y::yaml_emitter_set_width(p, width);
            unsafe_y::yaml_emitter_set_unicode(p, unicode);
            unsafe_y::yaml_emitter_set_canonical(p, canonical);
        }
        Emitter { raw, out }
    }

    /// SAFETY: `init` must fill the event it is given.
    unsafe fn emit(&mut self, init: impl FnOnce(*mut unsafe_y::yaml_event_t)) {
        let mut event = MaybeUninit::<unsafe_y::yaml_event_t>::uninit();
        init(event.as_mut_ptr());
        // SAFETY: the emitter was initialized in `new`; it takes over the event and frees it. A failure
        // (only possible for events out of order) leaves the text short; the callers emit in order.
        unsafe {
            let _ = unsafe_y::yaml_emitter_emit(self.raw.as_mut_ptr(), event.as_mut_ptr());
        }
    }

    pub fn start(&mut self, explicit: bool) {
        // SAFETY: both initializers fill the event; no directives are passed.
        unsafe {
            self.emit(|e| drop(unsafe_y::yaml_stream_start_event_initialize(e, unsafe_y::YAML_UTF8_ENCODING)));
            self.emit(|e| {
                drop(unsafe_y::yaml_document_start_event_initialize(
                    e,
                    ptr::null_mut(),
                    ptr::null_mut(),
                    ptr::null_mut(),
                    !explicit,
                ))
            });
        }
    }

    /// Ends the document and answers the text.
    pub fn finish(mut self, explicit_end: bool) -> String {
        // SAFETY: both initializers fill the event.
        unsafe {
            self.emit(|e| drop(unsafe_y::yaml_document_end_event_initialize(e, !explicit_end)));
            self.emit(|e| drop(unsafe_y::yaml_stream_end_event_initialize(e)));
            let _ = unsafe_y::yaml_emitter_flush(self.raw.as_mut_ptr());
        }
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// A scalar. `plain` and `quoted`: whether its meaning survives without a tag in that style;
    /// `tag` (with its final NUL) is written where neither does.
    pub fn scalar(&mut self, value: &str, tag: Option<&CStr>, plain: bool, quoted: bool, style: Style) {
        let style = match style {
            Style::Any => unsafe_y::YAML_ANY_SCALAR_STYLE,
            Style::Plain => unsafe_y::YAML_PLAIN_SCALAR_STYLE,
            Style::Single => unsafe_y::YAML_SINGLE_QUOTED_SCALAR_STYLE,
            Style::Double => unsafe_y::YAML_DOUBLE_QUOTED_SCALAR_STYLE,
            Style::Literal => unsafe_y::YAML_LITERAL_SCALAR_STYLE,
            Style::Folded => unsafe_y::YAML_FOLDED_SCALAR_STYLE,
        };
        let len = i32::try_from(value.len()).unwrap_or(i32::MAX);
        let tag = tag.map_or(ptr::null(), |t| t.as_ptr().cast());
        // SAFETY: value is `len` bytes of UTF-8 and is copied; the tag is NUL-terminated and copied.
        unsafe {
            self.emit(|e| {
                drop(unsafe_y::yaml_scalar_event_initialize(
                    e,
                    ptr::null(),
                    tag,
                    value.as_ptr(),
                    len,
                    plain,
                    quoted,
                    style,
                ))
            });
        }
    }

    /// A reference to what stands under `anchor`.
    pub fn alias(&mut self, anchor: &CStr) {
        // SAFETY: the anchor is NUL-terminated and copied.
        unsafe { self.emit(|e| drop(unsafe_y::yaml_alias_event_initialize(e, anchor.as_ptr().cast()))) }
    }

    pub fn seq_start(&mut self, flow: bool, anchor: Option<&CStr>) {
        let style = if flow { unsafe_y::YAML_FLOW_SEQUENCE_STYLE } else { unsafe_y::YAML_BLOCK_SEQUENCE_STYLE };
        let tag = c"tag:yaml.org,2002:seq".as_ptr().cast();
        let anchor = anchor.map_or(ptr::null(), |a| a.as_ptr().cast());
        // SAFETY: the initializer fills the event; anchor and tag are NUL-terminated and copied.
        unsafe {
            self.emit(|e| drop(unsafe_y::yaml_sequence_start_event_initialize(e, anchor, tag, true, style)));
        }
    }

    pub fn seq_end(&mut self) {
        // SAFETY: the initializer fills the event.
        unsafe { self.emit(|e| drop(unsafe_y::yaml_sequence_end_event_initialize(e))) }
    }

    pub fn map_start(&mut self, flow: bool, anchor: Option<&CStr>) {
        let style = if flow { unsafe_y::YAML_FLOW_MAPPING_STYLE } else { unsafe_y::YAML_BLOCK_MAPPING_STYLE };
        let tag = c"tag:yaml.org,2002:map".as_ptr().cast();
        let anchor = anchor.map_or(ptr::null(), |a| a.as_ptr().cast());
        // SAFETY: the initializer fills the event; anchor and tag are NUL-terminated and copied.
        unsafe {
            self.emit(|e| drop(unsafe_y::yaml_mapping_start_event_initialize(e, anchor, tag, true, style)));
        }
    }

    pub fn map_end(&mut self) {
        // SAFETY: the initializer fills the event.
        unsafe { self.emit(|e| drop(unsafe_y::yaml_mapping_end_event_initialize(e))) }
    }
}

impl Drop for Emitter {
    fn drop(&mut self) {
        // SAFETY: initialized in `new`, deleted only here.
        unsafe { unsafe_y::yaml_emitter_delete(self.raw.as_mut_ptr()) }
    }
}
