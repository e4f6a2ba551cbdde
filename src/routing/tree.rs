//! A tree of tokens: patterns to find by topic, or topics to find by pattern.

use crate::topic::{ANY_ONE, ANY_REST};
use std::collections::HashMap;

/// The value at a node of a tree. An empty value takes no node.
pub(crate) trait Leaf: Default {
    fn is_empty(&self) -> bool;
}

/// Values by pattern or topic. The depth is bounded by
/// [`TOPIC_TOKENS_MAX`](crate::limits::TOPIC_TOKENS_MAX), so walking it may recurse.
#[derive(Default)]
pub(crate) struct Tree<V> {
    root: Node<V>,
}

#[derive(Default)]
struct Node<V> {
    children: HashMap<Box<str>, Box<Self>>,
    any_one: Option<Box<Self>>,
    /// The value of the path that ends here.
    here: V,
    /// The value of the path that ends here with `>`.
    rest: V,
}

impl<V: Leaf> Tree<V> {
    /// Changes the value at `path`. Makes nodes for it, and removes them if it is empty after that.
    pub fn edit<R>(&mut self, path: &str, change: impl FnOnce(&mut V) -> R) -> R {
        self.root.edit(Some(path), change)
    }

    /// The value at exactly this path, wildcards taken literally.
    pub fn get(&self, path: &str) -> Option<&V> {
        let mut node = &self.root;
        for token in path.split('.') {
            node = node.children.get(token)?;
        }
        Some(&node.here)
    }

    /// The value of exactly this pattern.
    pub fn find(&self, pattern: &str) -> Option<&V> {
        let mut node = &self.root;
        for token in pattern.split('.') {
            node = match token {
                ANY_REST => return Some(&node.rest),
                ANY_ONE => node.any_one.as_deref()?,
                _ => node.children.get(token)?,
            };
        }
        Some(&node.here)
    }

    /// Visits the values of all patterns that match `topic`, as long as `visit` says to go on, and
    /// returns whether it always did. Many values are empty; counting them counts the steps.
    pub fn visit_matching<'a>(
        &'a self,
        topic: &str,
        visit: &mut impl FnMut(&'a V) -> bool,
    ) -> bool {
        self.root.visit_matching(Some(topic), visit)
    }

    /// Whether a value could be for `path` and not for a path that differs in its last token, by
    /// their tokens.
    pub fn tells_siblings_apart(&self, path: &str) -> bool {
        self.root.tells_siblings_apart(path)
    }

    /// Visits the values of all topics, in a tree of topics, that `pattern` matches. Where `*` is
    /// the last token of a path in it, it stands for topics that `pattern` may match.
    pub fn visit_matched<'a>(&'a self, pattern: &str, visit: &mut impl FnMut(&'a V)) {
        self.root.visit_matched(Some(pattern), visit);
    }

    /// Visits every value.
    pub fn visit_all<'a>(&'a self, visit: &mut impl FnMut(&'a V)) {
        self.root.visit_all(visit);
    }

    /// Removes nodes whose values have become empty by themselves.
    pub fn sweep(&mut self) {
        self.root.sweep();
    }
}

impl<V: Leaf> Node<V> {
    fn edit<R>(&mut self, path: Option<&str>, change: impl FnOnce(&mut V) -> R) -> R {
        let Some((token, further)) = split(path) else {
            return change(&mut self.here);
        };
        match token {
            ANY_REST => change(&mut self.rest),
            ANY_ONE => {
                let node = self.any_one.get_or_insert_default();
                let result = node.edit(further, change);
                if node.is_empty() {
                    self.any_one = None;
                }
                result
            }
            _ => self.edit_child(token, further, change),
        }
    }

    fn edit_child<R>(
        &mut self,
        token: &str,
        further: Option<&str>,
        change: impl FnOnce(&mut V) -> R,
    ) -> R {
        if let Some(node) = self.children.get_mut(token) {
            let result = node.edit(further, change);
            if node.is_empty() {
                self.children.remove(token);
                // A node that once had a million children keeps no room for them.
                if self.children.capacity() > 4 * self.children.len() + 16 {
                    self.children.shrink_to_fit();
                }
            }
            return result;
        }
        let mut node = Box::<Self>::default();
        let result = node.edit(further, change);
        if !node.is_empty() {
            self.children.insert(token.into(), node);
        }
        result
    }

    fn visit_matching<'a>(
        &'a self,
        topic: Option<&str>,
        visit: &mut impl FnMut(&'a V) -> bool,
    ) -> bool {
        let Some((token, further)) = split(topic) else {
            return visit(&self.here);
        };
        visit(&self.rest)
            && self.children.get(token).is_none_or(|node| node.visit_matching(further, visit))
            && self.any_one.as_ref().is_none_or(|node| node.visit_matching(further, visit))
    }

    fn tells_siblings_apart(&self, path: &str) -> bool {
        let Some((token, further)) = path.split_once('.') else {
            return !self.children.is_empty();
        };
        let next = self.children.get(token).into_iter().chain(&self.any_one);
        next.into_iter().any(|node| node.tells_siblings_apart(further))
    }

    fn visit_matched<'a>(&'a self, pattern: Option<&str>, visit: &mut impl FnMut(&'a V)) {
        let Some((token, further)) = split(pattern) else {
            return visit(&self.here);
        };
        if let Some(node) = &self.any_one {
            match token {
                ANY_REST => node.visit_all(visit),
                _ => node.visit_matched(further, visit),
            }
        }
        match token {
            ANY_REST => self.children.values().for_each(|node| node.visit_all(visit)),
            ANY_ONE => self.children.values().for_each(|node| node.visit_matched(further, visit)),
            _ => {
                if let Some(node) = self.children.get(token) {
                    node.visit_matched(further, visit);
                }
            }
        }
    }

    fn visit_all<'a>(&'a self, visit: &mut impl FnMut(&'a V)) {
        visit(&self.here);
        visit(&self.rest);
        self.children.values().for_each(|node| node.visit_all(visit));
        if let Some(node) = &self.any_one {
            node.visit_all(visit);
        }
    }

    fn sweep(&mut self) {
        self.children.retain(|_, node| {
            node.sweep();
            !node.is_empty()
        });
        self.children.shrink_to(2 * self.children.len());
        if let Some(node) = &mut self.any_one {
            node.sweep();
            if node.is_empty() {
                self.any_one = None;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.rest.is_empty()
            && self.children.is_empty()
            && self.any_one.is_none()
    }
}

/// The first token, and what follows it.
fn split(path: Option<&str>) -> Option<(&str, Option<&str>)> {
    // By bytes, which is quicker than a search where tokens are short.
    path.map(|path| match path.bytes().position(|byte| byte == b'.') {
        Some(dot) => (&path[..dot], Some(&path[dot + 1..])),
        None => (path, None),
    })
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;

    impl<T> Leaf for Vec<T> {
        fn is_empty(&self) -> bool {
            self.is_empty()
        }
    }

    fn matching(tree: &Tree<Vec<u32>>, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        tree.visit_matching(topic, &mut |values| {
            found.extend(values);
            true
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn patterns_are_found_by_topic() {
        let mut tree = Tree::<Vec<u32>>::default();
        for (value, pattern) in ["a.b", "a.*", "a.>", ">", "*.b", "a", "a.b.c"].iter().enumerate() {
            tree.edit(pattern, |values| values.push(value as u32));
        }
        assert_eq!(matching(&tree, "a.b"), [0, 1, 2, 3, 4]);
        assert_eq!(matching(&tree, "a"), [3, 5]);
        assert_eq!(matching(&tree, "a.b.c"), [2, 3, 6]);
        let (mut steps, mut first) = (0, None);
        let is_over = tree.visit_matching("a.b.c", &mut |values| {
            steps += 1;
            first = values.first().copied();
            first.is_none()
        });
        assert_eq!((first, steps, is_over), (Some(3), 1, false), "the root's `>` comes first");
    }

    #[test]
    fn topics_are_found_by_pattern() {
        let mut tree = Tree::<Vec<u32>>::default();
        for (value, topic) in ["a", "a.b", "a.c", "a.b.c", "x.b"].iter().enumerate() {
            tree.edit(topic, |values| values.push(value as u32));
        }
        let matched = |pattern: &str| {
            let mut found = Vec::<u32>::new();
            tree.visit_matched(pattern, &mut |values| found.extend(values));
            found.sort_unstable();
            found
        };
        assert_eq!(matched("a.*"), [1, 2]);
        assert_eq!(matched("a.>"), [1, 2, 3]);
        assert_eq!(matched("*.b"), [1, 4]);
        assert_eq!(matched(">"), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn siblings_are_told_apart_by_a_token_in_their_place() {
        let mut tree = Tree::<Vec<u32>>::default();
        for pattern in ["a.*", "a.>", "*.*", "b.c", "*.d.e.f", "x.*.y"] {
            tree.edit(pattern, |values| values.push(1));
        }
        assert!(!["a.1.2", "x.1.2.3"].iter().any(|path| tree.tells_siblings_apart(path)));
        assert!(
            ["b.1", "a.1", "z.d.1", "z.d.e.1"].iter().all(|path| tree.tells_siblings_apart(path))
        );
    }

    #[test]
    fn what_stands_for_siblings_is_found_by_each_pattern_that_matches_one() {
        let mut topics = Tree::<Vec<u32>>::default();
        topics.edit("a.b.*", |values| values.push(1));
        for (pattern, is_found) in
            [("a.b.c", true), ("a.*.c", true), ("a.>", true), ("a.b", false), ("a.c.*", false)]
        {
            let mut found = Vec::<u32>::new();
            topics.visit_matched(pattern, &mut |values| found.extend(values));
            assert_eq!(!found.is_empty(), is_found, "{pattern}");
        }
    }

    #[test]
    fn nothing_remains_of_what_was_taken_out() {
        let mut tree = Tree::<Vec<u32>>::default();
        for path in ["a.b.c", "a.*.d", "a.>"] {
            tree.edit(path, |values| values.push(1));
            tree.edit(path, Vec::clear);
        }
        assert!(tree.root.is_empty());
    }
}
