//! `/debug/pprof/goroutine`: the live tasks, each with the chain of tasks that started it.

use super::super::Page;
use super::super::context::AdminContext;
use super::{only_one, wants_folded};
use crate::http::{Call, Response, text};
use crate::limits::{PROFILED_PARENTS, PROFILED_TASKS};
use crate::tasks::{Permit, TaskId, TaskInfo};
use hyper::StatusCode;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

pub(in super::super) async fn goroutine(context: Arc<AdminContext>, call: Call) -> Page {
    let debug = call.number("debug", 0)?;
    let is_folded = wants_folded(&call);
    let permit = only_one(&context.task_profile, "the tasks")?;
    // On another thread: with many tasks it would keep other tasks from their turn.
    Ok(blocking::unblock(move || make(&context, debug, is_folded, permit)).await)
}

/// Holds the permit until it is done, even if the client has left.
fn make(context: &AdminContext, debug: usize, is_folded: bool, _permit: Permit) -> Response {
    let stacks = Stacks::new(context.tasks.list());
    match debug {
        _ if is_folded => text(StatusCode::OK, stacks.folded()),
        0 => stacks.profile(),
        1 => text(StatusCode::OK, stacks.grouped()),
        _ => text(StatusCode::OK, stacks.one_by_one()),
    }
}

/// All tasks, findable by number.
struct Stacks {
    tasks: Vec<TaskInfo>,
    index: HashMap<TaskId, usize>,
    /// Tasks beyond the bound.
    left_out: usize,
}

/// The places at which tasks were started, from the task itself outwards.
type Stack = Vec<(&'static str, &'static str, u32)>;

impl Stacks {
    fn new(mut tasks: Vec<TaskInfo>) -> Self {
        let left_out = tasks.len().saturating_sub(PROFILED_TASKS);
        tasks.truncate(PROFILED_TASKS);
        let index = tasks.iter().enumerate().map(|(index, task)| (task.id, index)).collect();
        Self { tasks, index, left_out }
    }

    /// The task, the task that started it, and so on while they are alive, and last the scope that
    /// owns the outermost.
    fn stack(&self, task: &TaskInfo) -> Stack {
        let mut stack = Stack::new();
        let mut next = Some(task);
        let mut outermost = task;
        while let Some(task) = next.filter(|_| stack.len() < PROFILED_PARENTS) {
            stack.push((task.name, task.spawned_at.file(), task.spawned_at.line()));
            outermost = task;
            next = task
                .parent
                .and_then(|parent| self.index.get(&parent))
                .map(|index| &self.tasks[*index]);
        }
        stack.push((outermost.owner_name, "", 0));
        stack
    }

    /// Grouped by stack, most first, with what they wait for.
    fn grouped(&self) -> String {
        let mut groups: BTreeMap<Stack, Vec<&TaskInfo>> = BTreeMap::new();
        for task in &self.tasks {
            groups.entry(self.stack(task)).or_default().push(task);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, tasks)| std::cmp::Reverse(tasks.len()));
        let mut out = format!("goroutine profile: total {}\n", self.tasks.len() + self.left_out);
        for (stack, tasks) in &groups {
            let chain: Vec<&str> = stack.iter().map(|(name, ..)| *name).collect();
            let _ = writeln!(out, "{} @ {}", tasks.len(), chain.join(" < "));
            push_stack(&mut out, stack, "#\t");
            let _ = writeln!(out, "#\twaiting: {}\n", waits(tasks));
        }
        self.push_left_out(&mut out);
        out
    }

    /// Each task with its number, its stack, and how long it has waited and lived.
    fn one_by_one(&self) -> String {
        let mut out = String::new();
        for task in &self.tasks {
            let TaskInfo {
                id, name, waits_for, waits_since, age, polls, busy, longest_poll, ..
            } = task;
            let _ = writeln!(
                out,
                "goroutine {} [{waits_for}, {:.1} seconds]: {name}",
                id.number(),
                waits_since.as_secs_f64()
            );
            push_stack(&mut out, &self.stack(task), "\t");
            let _ = writeln!(
                out,
                "\talive {:.1} s, polled {polls} times, busy {:.3} ms, longest {:.3} ms\n",
                age.as_secs_f64(),
                busy.as_secs_f64() * 1e3,
                longest_poll.as_secs_f64() * 1e3
            );
        }
        self.push_left_out(&mut out);
        out
    }

    /// A line for each kind of task: who started it, from the outermost on, its name and what it
    /// waits for; and how many there are.
    fn folded(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for task in &self.tasks {
            let stack = self.stack(task);
            let names = stack.iter().rev().map(|(name, ..)| *name);
            let waits = format!("waits for {}", task.waits_for.replace(';', ":"));
            let frames: Vec<&str> = names.chain([waits.as_str()]).collect();
            *counts.entry(frames.join(";")).or_default() += 1;
        }
        counts.iter().map(|(stack, count)| format!("{stack} {count}\n")).collect()
    }

    fn push_left_out(&self, out: &mut String) {
        if self.left_out > 0 {
            let _ = writeln!(out, "and {} more that are not shown", self.left_out);
        }
    }

    #[cfg(target_os = "linux")]
    fn profile(&self) -> Response {
        use super::profile::{Frame, ProfileBuilder};
        let mut counts: BTreeMap<(Stack, &str), i64> = BTreeMap::new();
        for task in &self.tasks {
            *counts.entry((self.stack(task), &task.waits_for)).or_default() += 1;
        }
        let mut builder = ProfileBuilder::new(&[("goroutine", "count")]);
        builder.sampled(Default::default(), ("goroutine", "count"), 1);
        for ((stack, waits_for), count) in &counts {
            let frames = stack.iter().map(|(name, file, line)| Frame {
                function: (*name).into(),
                file: (*file).into(),
                line: *line,
            });
            builder.sample(&frames.collect::<Vec<_>>(), &[*count], &[("waits_for", waits_for)]);
        }
        builder.respond(false)
    }

    #[cfg(not(target_os = "linux"))]
    fn profile(&self) -> Response {
        text(StatusCode::OK, self.grouped())
    }
}

fn push_stack(out: &mut String, stack: &Stack, indent: &str) {
    for (name, file, line) in stack {
        let _ = match file.is_empty() {
            true => writeln!(out, "{indent}of {name}"),
            false => writeln!(out, "{indent}{name}\t{file}:{line}"),
        };
    }
}

/// The waits of these tasks with their counts, most first; the long tail as a number.
fn waits(tasks: &[&TaskInfo]) -> String {
    const SHOWN: usize = 5;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    tasks.iter().for_each(|task| *counts.entry(&task.waits_for).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(waits_for, count)| (std::cmp::Reverse(*count), *waits_for));
    let mut shown: Vec<String> = counts
        .iter()
        .take(SHOWN)
        .map(|(waits_for, count)| format!("{waits_for} ({count})"))
        .collect();
    let rest: usize = counts.iter().skip(SHOWN).map(|(_, count)| count).sum();
    if rest > 0 {
        shown.push(format!("others ({rest})"));
    }
    shown.join(", ")
}
