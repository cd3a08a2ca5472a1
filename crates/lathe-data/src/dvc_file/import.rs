use lathe_yaml::{Node, Value};

use super::{DvcFile, Recorded};

/// Where the data of a `.dvc` file comes from, if people did not make it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file or folder at a path or URL.
    Url {
        /// As written.
        url: String,
        /// What it was when it was fetched last: `md5`, `etag` or `checksum`, and its value.
        mark: Option<(String, String)>,
    },
    /// A path of another git repository.
    Repo {
        /// Its URL or path.
        url: String,
        /// The branch, tag or commit asked for.
        rev: Option<String>,
        /// The commit that the data is of.
        rev_lock: Option<String>,
        /// The path in it.
        path: String,
    },
    /// A query of a database, which only DVC executes.
    Database,
}

impl DvcFile {
    /// Where the data comes from.
    pub fn origin(&self) -> Option<Origin> {
        let dep = self.deps().first()?;
        let text = |node: &Node, key: &str| node.find(key).and_then(Node::as_str).map(str::to_owned);
        if dep.find("db").is_some() {
            return Some(Origin::Database);
        }
        let path = text(dep, "path")?;
        if let Some(repo) = dep.find("repo") {
            return Some(Origin::Repo {
                url: text(repo, "url")?,
                rev: text(repo, "rev"),
                rev_lock: text(repo, "rev_lock"),
                path,
            });
        }
        let mark = ["md5", "etag", "checksum"]
            .iter()
            .find_map(|key| Some(((*key).to_owned(), text(dep, key)?)));
        Some(Origin::Url { url: path, mark })
    }

    /// Whether the data belongs to another git repository, which keeps it.
    pub fn is_repo_import(&self) -> bool {
        matches!(self.origin(), Some(Origin::Repo { .. }))
    }

    /// Says where the data comes from; `content` is what was found there, for a path of this machine.
    pub fn set_origin(&mut self, origin: &Origin, content: Option<&Recorded>) {
        let text = |key: &str, value: &str| (Node::text(key), Node::text(value));
        let mut entries = Vec::new();
        match origin {
            Origin::Url { url, mark } => {
                if let Some(recorded) = content {
                    let of = recorded.to_entries();
                    match mark {
                        Some((key, value)) if key != "md5" => {
                            // The server's own mark stands in the place of a hash.
                            entries.push(text(key, value));
                            entries.extend(of.into_iter().filter(|(key, _)| key.as_str() == Some("size")));
                        }
                        _ => entries.extend(of),
                    }
                }
                entries.push(text("hash", "md5"));
                entries.push(text("path", url));
            }
            Origin::Repo {
                url,
                rev,
                rev_lock,
                path,
            } => {
                let mut repo = vec![text("url", url)];
                repo.extend(rev.as_deref().map(|rev| text("rev", rev)));
                repo.extend(rev_lock.as_deref().map(|rev| text("rev_lock", rev)));
                entries.push(text("path", path));
                entries.push((Node::text("repo"), Node::new(Value::Map(repo))));
            }
            Origin::Database => return,
        }
        let deps = Value::List(vec![Node::new(Value::Map(entries))]);
        self.set_top("deps", Some(Node::new(deps)));
        self.set_top("frozen", Some(Node::new(Value::Bool(true))));
    }
}
