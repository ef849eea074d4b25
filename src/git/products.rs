//! Which ignored files are build products: what a build, a package manager or a test run makes again.
//!
//! An ignored file counts as work unless the table below says otherwise, because people ignore what is theirs too:
//! settings with secrets, notes, data. A folder is known by its name and stands for all in it, unless the repository
//! tracks files in it: then it is a folder of sources that only has such a name.

use std::collections::BTreeSet;

/// Folders that hold nothing but products. Left out on purpose, since people keep their own things under these names:
/// `bin`, `vendor`, `deps`, `tmp`, `logs`, `data`, `.idea`, `.vscode`, `.terraform`.
const FOLDERS: [&str; 48] = [
    // Rust, Zig, C and C++
    "target",
    "zig-out",
    ".zig-cache",
    "zig-cache",
    "CMakeFiles",
    // JavaScript
    "node_modules",
    "bower_components",
    ".next",
    ".nuxt",
    ".svelte-kit",
    ".angular",
    ".vite",
    ".turbo",
    ".parcel-cache",
    ".nyc_output",
    // Python
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".eggs",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
    "htmlcov",
    // Java, Kotlin, Scala, .NET
    ".gradle",
    ".kotlin",
    ".bsp",
    ".bloop",
    ".metals",
    "obj",
    // Haskell, OCaml, Elixir, Elm, Dart, Swift
    "dist-newstyle",
    ".stack-work",
    "_build",
    ".elixir_ls",
    "elm-stuff",
    ".dart_tool",
    ".build",
    "DerivedData",
    "Pods",
    // Everywhere
    "build",
    "dist",
    "out",
    "coverage",
    ".cache",
    ".sass-cache",
];

/// How the names of such folders may begin or end.
const FOLDER_BEGINNINGS: [&str; 2] = ["cmake-build-", "bazel-"];
const FOLDER_ENDS: [&str; 1] = [".egg-info"];

/// The ends of the names of files that are products.
const FILE_ENDS: [&str; 24] = [
    ".o",
    ".obj",
    ".a",
    ".lib",
    ".lo",
    ".la",
    ".so",
    ".dylib",
    ".dll",
    ".pdb",
    ".rlib",
    ".rmeta",
    ".gcda",
    ".gcno",
    ".profraw",
    ".pyc",
    ".pyo",
    ".pyd",
    ".class",
    ".hi",
    ".beam",
    ".cmi",
    ".tsbuildinfo",
    ".elc",
];

const FILES: [&str; 5] = [".DS_Store", "Thumbs.db", ".eslintcache", ".stylelintcache", ".coverage"];

/// A tracked file that only keeps a folder alive does not make it a folder of sources.
const PLACEHOLDERS: [&[u8]; 4] = [b".gitkeep", b".gitignore", b".keep", b".gitattributes"];

/// The folders called like products in which the repository tracks files.
#[derive(Debug, Default)]
pub(super) struct SourceFolders(BTreeSet<Vec<u8>>);

impl SourceFolders {
    /// Notes a tracked file.
    pub(super) fn note(&mut self, tracked: &[u8]) {
        let name = tracked.rsplit(|b| *b == b'/').next().unwrap_or_default();
        if PLACEHOLDERS.contains(&name) {
            return;
        }
        for folder in folders_above(tracked).filter(|folder| is_product_folder(last_part(folder))) {
            if !self.0.contains(folder) {
                self.0.insert(folder.to_owned());
            }
        }
    }

    /// Whether an ignored path, as `git status` prints it, is a build product. A folder ends with `/`.
    pub(super) fn is_product(&self, ignored: &[u8]) -> bool {
        let path = ignored.strip_suffix(b"/").unwrap_or(ignored);
        let name = last_part(path);
        let inside = || {
            folders_above(path).any(|folder| is_product_folder(last_part(folder)) && !self.0.contains(folder))
        };
        is_product_folder(name) && !self.0.contains(path) || is_product_file(name) || inside()
    }
}

/// The folders that hold a path, from the top.
fn folders_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at])
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

fn is_product_folder(name: &[u8]) -> bool {
    FOLDERS.iter().any(|folder| folder.as_bytes() == name)
        || FOLDER_BEGINNINGS.iter().any(|start| name.starts_with(start.as_bytes()))
        || FOLDER_ENDS.iter().any(|end| name.ends_with(end.as_bytes()))
}

fn is_product_file(name: &[u8]) -> bool {
    FILES.iter().any(|file| file.as_bytes() == name)
        || FILE_ENDS.iter().any(|end| name.len() > end.len() && name.ends_with(end.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(path: &str, tracked: &[&str]) -> bool {
        let mut folders = SourceFolders::default();
        tracked.iter().for_each(|path| folders.note(path.as_bytes()));
        folders.is_product(path.as_bytes())
    }

    #[test]
    fn what_a_build_makes_again_is_a_product_and_all_else_is_work() {
        for path in [
            "target/",
            "crates/a/target/",
            "node_modules/",
            "node_modules",
            "a/__pycache__/b.cpython-312.pyc",
            "x.o",
            "build/lib/thing.txt",
            "foo.egg-info/",
            "cmake-build-debug/",
            ".DS_Store",
        ] {
            assert!(product(path, &[]), "{path} is a product");
        }
        for path in [".env", "notes.md", "data/", "logs/run.log", "bin/", "vendor/", ".o", "targets/", "a.db"]
        {
            assert!(!product(path, &[]), "{path} is work");
        }
    }

    #[test]
    fn a_folder_with_tracked_files_is_none_of_products_unless_they_only_keep_it() {
        assert!(!product("build/local.conf", &["build/make.sh"]));
        assert!(!product("a/dist/", &["a/dist/index.html"]));
        assert!(product("a/dist/", &["dist/index.html"]));
        assert!(product("build/lib.txt", &["build/.gitkeep"]));
        assert!(product("build/x/target/", &["build/make.sh"]), "a folder of products in one of sources");
    }
}
