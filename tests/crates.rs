//! The layers and their packages, read from the manifests: which crate may use which, and that each package does work.

use crate::support;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crates by layer: each may use what stands behind it, and the binary alone may link `ops`.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("ops-core", &[]),
    ("ops", &["ops-core"]),
    ("engine-model", &["ops-core"]),
    ("engine-runtime", &["engine-model", "ops-core"]),
    ("engine-telemetry", &["engine-runtime", "engine-model", "ops-core"]),
    ("engine", &["engine-telemetry", "engine-runtime", "engine-model", "ops-core", "ops"]),
    ("xtask", &[]),
];

/// Packages the project stands on. Each is named in the code of a crate that depends on it.
const PACKAGES: [&str; 10] = [
    "serde_yaml",
    "schemars",
    "jsonschema",
    "petgraph",
    "tokio",
    "rayon",
    "zarrs",
    "image",
    "opentelemetry",
    "opentelemetry-otlp",
];

/// A member of the workspace.
struct Member {
    name: String,
    dir: PathBuf,
    /// Names of `[dependencies]`, of those of targets, and of `[build-dependencies]`.
    uses: BTreeSet<String>,
    /// Names of `[dev-dependencies]`.
    tests_use: BTreeSet<String>,
}

/// Table headers and lines of a manifest, comments left out.
fn sections(path: &Path) -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut sections = vec![(String::new(), Vec::new())];
    for line in text.lines().map(|l| l.split(" #").next().unwrap().trim()) {
        match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')).filter(|_| !line.contains('=')) {
            Some(header) => sections.push((header.trim_matches(['[', ']']).to_owned(), Vec::new())),
            None if line.is_empty() || line.starts_with('#') => {}
            None => sections.last_mut().unwrap().1.push(line.to_owned()),
        }
    }
    sections
}

/// Name of a dependency: of `name.workspace = true`, `name = …`, or the table `dependencies.name`; the package where one
/// is named, since a crate could hide behind another name.
fn dependencies(sections: &[(String, Vec<String>)], kinds: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (header, lines) in sections {
        let of_target = header.rsplit_once('.').filter(|_| header.starts_with("target.")).map(|(_, kind)| kind);
        if kinds.contains(&of_target.unwrap_or(header)) {
            for line in lines {
                let name = line.split(['.', '=', ' ']).next().unwrap().trim_matches('"');
                let package = line.split_once("package = \"").and_then(|(_, rest)| rest.split('"').next());
                names.insert(package.unwrap_or(name).to_owned());
            }
        } else if let Some((_, name)) = header.split_once('.').filter(|(kind, _)| kinds.contains(kind)) {
            names.insert(name.to_owned());
        }
    }
    names
}

fn members() -> Vec<Member> {
    let root = support::root();
    let workspace = sections(&root.join("Cargo.toml"));
    let list = &workspace.iter().find(|(h, _)| h == "workspace").unwrap().1.join(" ");
    let list = list.split_once("members").unwrap().1.split(['[', ']']).nth(1).unwrap();
    let dirs = list.split(',').map(|m| m.trim().trim_matches('"')).filter(|m| !m.is_empty());
    let member = |dir: &str| {
        let sections = sections(&root.join(dir).join("Cargo.toml"));
        let package = &sections.iter().find(|(h, _)| h == "package").unwrap().1;
        let name = package.iter().find_map(|l| l.strip_prefix("name = ")).unwrap().trim_matches('"').to_owned();
        let uses = dependencies(&sections, &["dependencies", "build-dependencies"]);
        Member { name, dir: root.join(dir), uses, tests_use: dependencies(&sections, &["dev-dependencies"]) }
    };
    dirs.map(member).collect()
}

/// Every arrow between members that is not allowed.
fn forbidden(arrows: &[(String, BTreeSet<String>)]) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut found = Vec::new();
    for (name, uses) in arrows {
        let Some(may) = allowed.get(name.as_str()) else {
            found.push(format!("`{name}` has no place among the layers"));
            continue;
        };
        let members = uses.iter().filter(|u| allowed.contains_key(u.as_str()));
        found.extend(members.filter(|u| !may.contains(&u.as_str())).map(|u| format!("{name} -> {u}")));
    }
    found
}

#[test]
fn crates_use_only_what_stands_below_them() {
    let members = members();
    let names: BTreeSet<&str> = members.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ALLOWED.iter().map(|(n, _)| *n).collect(), "layers of this test and members of the workspace");
    let arrows: Vec<_> = members.iter().map(|m| (m.name.clone(), m.uses.clone())).collect();
    assert_eq!(forbidden(&arrows), Vec::<String>::new());
    for m in &members {
        for used in m.tests_use.iter().filter(|u| names.contains(u.as_str()) && !m.uses.contains(*u)) {
            println!("in tests only: {} -> {used}", m.name);
        }
    }
}

/// Packages that build C++ or call programs other than a C compiler.
const MORE_THAN_C: [&str; 8] =
    ["aws-lc-sys", "bindgen", "blosc-src", "cmake", "cxx", "link-cplusplus", "openssl-sys", "snappy_src"];

/// Those of a lock file.
fn more_than_c(lock: &str) -> Vec<&str> {
    let names = lock.lines().filter_map(|l| l.strip_prefix("name = \"").and_then(|l| l.strip_suffix('"')));
    names.filter(|name| MORE_THAN_C.contains(name)).collect()
}

#[test]
fn rust_and_a_c_compiler_build_everything() {
    let lock = std::fs::read_to_string(support::root().join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"zstd-sys\""), "the lock file names packages as expected");
    assert_eq!(more_than_c(&lock), Vec::<&str>::new());
    assert_eq!(more_than_c("[[package]]\nname = \"cmake\"\nversion = \"0.1.58\"\n"), ["cmake"]);
}

#[test]
fn an_arrow_upwards_is_found() {
    let arrow = |from: &str, to: &str| vec![(from.to_owned(), BTreeSet::from([to.to_owned()]))];
    assert_eq!(forbidden(&arrow("ops-core", "engine")), ["ops-core -> engine"]);
    assert_eq!(forbidden(&arrow("engine-runtime", "ops")), ["engine-runtime -> ops"]);
    assert_eq!(forbidden(&arrow("another", "serde")).len(), 1);
    assert!(forbidden(&arrow("engine", "ops")).is_empty());
    let manifest = [
        ("dependencies", "hidden = { package = \"engine-model\", path = \"x\" }"),
        ("target.'cfg(unix)'.dependencies", "ops.workspace = true"),
        ("dependencies.engine", "path = \"y\""),
        ("dev-dependencies", "ops-core.workspace = true"),
    ];
    let manifest = manifest.map(|(header, line)| (header.to_owned(), vec![line.to_owned()]));
    let names = dependencies(&manifest, &["dependencies", "build-dependencies"]);
    assert_eq!(names, ["engine", "engine-model", "ops"].map(String::from).into());
}

/// Code of a crate without comments and without what only tests see.
fn code(dir: &Path) -> String {
    let mut text = String::new();
    for file in support::tree::files(&dir.join("src")) {
        let name = file.to_string_lossy();
        if !name.ends_with(".rs") || name.ends_with("tests.rs") {
            continue;
        }
        let whole = std::fs::read_to_string(dir.join("src").join(&file)).unwrap();
        let tested = whole.split("#[cfg(test)]").next().unwrap();
        tested.lines().filter(|l| !l.trim_start().starts_with("//")).for_each(|l| {
            text.push_str(l);
            text.push('\n');
        });
    }
    text
}

fn names(code: &str, package: &str) -> bool {
    let path = format!("{}::", package.replace('-', "_"));
    let own = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(&path).any(|(at, _)| !code[..at].ends_with(own))
}

#[test]
fn every_package_the_project_stands_on_is_used_in_code() {
    let members = members();
    let code: Vec<(&Member, String)> = members.iter().map(|m| (m, code(&m.dir))).collect();
    for package in PACKAGES {
        let users: Vec<&str> = code
            .iter()
            .filter(|(m, text)| m.uses.contains(package) && names(text, package))
            .map(|(m, _)| m.name.as_str())
            .collect();
        println!("{package}: {}", users.join(", "));
        assert!(!users.is_empty(), "no crate depends on `{package}` and names it in its code");
    }
    for (m, text) in &code {
        for package in m.uses.iter().filter(|p| PACKAGES.contains(&p.as_str()) && !names(text, p)) {
            println!("{} depends on {package} and does not name it", m.name);
        }
    }
}

#[test]
fn comments_and_longer_names_do_not_count_as_use() {
    assert!(names("use petgraph::algo;", "petgraph") && names("(opentelemetry_otlp::X)", "opentelemetry-otlp"));
    assert!(!names("my_image::open", "image") && !names("crate::image::open", "image") && !names("image:", "image"));
}
