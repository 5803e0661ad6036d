//! A chat service in Rust: safe code, and yet each room keeps every message for ever.
//!
//! Labels "started" and "chatted"; without the library they do nothing.
use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_char, c_void, CString};

extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// What heapspy_snapshot() of heapspy.h is to C: a call if the library is there.
fn heapspy_snapshot(label: &str) {
    let name = CString::new("heapspy_snapshot_v1").unwrap();
    let label = CString::new(label).unwrap();
    // Null, RTLD_DEFAULT: in all that is loaded.
    let function = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    if !function.is_null() {
        let call: extern "C" fn(*const c_char) -> i32 = unsafe { std::mem::transmute(function) };
        call(label.as_ptr());
    }
}

struct Message {
    text: String,
    read: bool,
}

#[derive(Default)]
struct Chat {
    rooms: HashMap<u32, Vec<Message>>,
    names: BTreeMap<u32, String>,
}

impl Chat {
    fn load_names(&mut self, count: u32) {
        for user in 0..count {
            self.names.insert(user, "n".repeat(700));
        }
    }

    /// The bug: nothing ever takes a message out again.
    fn post(&mut self, room: u32, text: &str) {
        let messages = self.rooms.entry(room).or_default();
        messages.push(Message {
            text: text.to_owned(),
            read: false,
        });
    }

    /// Makes a new string for every room, and drops it.
    fn summary(&self, room: u32) -> usize {
        let unread = self.rooms[&room]
            .iter()
            .rev()
            .take(20)
            .filter(|message| !message.read);
        unread
            .map(|message| message.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
            .len()
    }
}

fn main() {
    let mut chat = Chat::default();
    let mut summed = 0;

    chat.load_names(20_000);
    heapspy_snapshot("started");
    for message in 0..40_000u32 {
        chat.post(
            message % 500,
            &"hello ".repeat(150 + message as usize % 100),
        );
        summed += chat.summary(message % 500);
    }
    heapspy_snapshot("chatted");
    println!("40000 messages posted, {summed} bytes of summaries");
}
