//! Writes the networks of `small_networks` as code, and checks that they are what is written there.

#![cfg(test)]

use super::network::{Network, Wire};

/// A network as a function of Rust, of lane `l` of its arguments: their names, types and numbers of values.
fn source(net: &Network, outputs: &[Wire], doc: &str, name: &str, args: &[(&str, &str, u32)]) -> String {
    let asked = net.asked(outputs);
    let wire = |w: Wire| {
        let mut of = w;
        for (name, _, n) in args {
            match of.checked_sub(*n) {
                None => return format!("{name}[{of}][l]"),
                Some(rest) => of = rest,
            }
        }
        format!("w{}", w - net.inputs)
    };
    let (n, all) = (outputs.len(), outputs.iter().map(|&w| wire(w)).collect::<Vec<_>>().join(", "));
    let mut list: Vec<String> =
        args.iter().map(|(name, of, _)| format!("{}: {of}", name.split('[').next().unwrap_or(name))).collect();
    list.dedup();
    list.push("l: usize".into());
    let begin = |args: &str| format!("pub(super) fn {name}<K: Ord + Copy>({args}) -> [K; {n}] {{");
    let (line, lines) = (begin(&list.join(", ")), begin(&format!("\n    {},\n", list.join(",\n    "))));
    // As rustfmt would have it.
    let mut text = format!("/// {doc}\n#[inline(always)]\n{}\n", if line.len() <= 120 { line } else { lines });
    for (i, g) in net.gates.iter().enumerate().filter(|(i, _)| asked[*i]) {
        let call = if g.max { "max" } else { "min" };
        text += &format!("    let w{i} = {}.{call}({});\n", wire(g.a), wire(g.b));
    }
    text + &format!("    [{all}]\n}}\n")
}

fn wires(from: u32, n: usize) -> Vec<Wire> {
    (from..from + n as u32).collect()
}

/// Which ranks of a sorted list of `n` values of `total` can be the median of all: with not too many below or above.
fn middle(n: usize, total: usize) -> std::ops::Range<usize> {
    let (below, above) = (total / 2, total - 1 - total / 2);
    (n - 1).saturating_sub(above)..n.min(below + 1)
}

fn sort(n: usize) -> String {
    let mut net = Network::new(n);
    let sorted = net.sort(&wires(0, n));
    let of = format!("&[&[K; LANES]; {n}]");
    source(&net, &sorted, &format!("Sorts {n} values."), &format!("sort_{n}"), &[("v", &of, n as u32)])
}

fn merge_of_three() -> String {
    let mut net = Network::new(9);
    let two = net.merge(&wires(0, 3), &wires(3, 3));
    let all = net.merge(&two, &wires(6, 3));
    let doc = "Merges three sorted lists of 3 values.";
    source(&net, &all, doc, "merge_3_by_3", &[("v", "&[&[K; LANES]; 9]", 9)])
}

/// The network that merges two sorted rows of boxes of so many, as far as medians ask.
fn merging(n: usize, rows: usize) -> (Network, Vec<Wire>) {
    let mut net = Network::new(2 * n);
    let merged = net.merge(&wires(0, n), &wires(n as u32, n));
    let asked = merged[middle(2 * n, n * rows)].to_vec();
    (net, asked)
}

fn merge(n: usize, rows: usize) -> String {
    let (net, asked) = merging(n, rows);
    let all = if asked.len() == 2 * n { "all_" } else { "" };
    let (doc, of) =
        (format!("Merges two sorted rows of {n} values of {rows} in a box."), format!("&[[K; LANES]; {n}]"));
    let args = [("a", &of[..], n as u32), ("b", &of, n as u32)];
    source(&net, &asked, &doc, &format!("merge_{all}rows_of_{n}"), &args)
}

/// Finds the medians of two boxes: of the first row, of what both have, merged by twos, and of the last row.
fn medians(n: usize, rows: usize) -> (Network, Vec<Wire>, usize) {
    let (pairs, merged) = ((rows - 1) / 2, merging(n, rows).1.len());
    let mut net = Network::new(2 * n + pairs * merged);
    let (first, last) = (wires(0, n), wires((n + pairs * merged) as u32, n));
    let mut lists: Vec<Vec<Wire>> = (0..pairs).map(|i| wires((n + i * merged) as u32, merged)).collect();
    while lists.len() > 1 {
        lists = lists.chunks(2).map(|two| net.merge(&two[0], &two[1])).collect();
    }
    let (total, held) = (n * rows, lists[0].len());
    // What was left out of the merged rows is below and above in equal numbers.
    let asked = middle(held, total - (n * (rows - 1) - held));
    let rank = (total - (n * (rows - 1) - held)) / 2 - asked.start;
    let found = [first, last].map(|row| net.select_of_two(&lists[0][asked.clone()], &row, rank));
    (net, found.to_vec(), merged)
}

fn medians_as_code(n: usize, rows: usize) -> String {
    let (net, found, merged) = medians(n, rows);
    let (row, pairs) = (format!("&[[K; LANES]; {n}]"), (rows - 1) / 2);
    let core = format!("&[&[[K; LANES]; {merged}]; {pairs}]");
    let both = (0..pairs).map(|i| format!("both[{i}]")).collect::<Vec<_>>();
    let mut args = vec![("first", &row[..], n as u32)];
    args.extend(both.iter().map(|b| (&b[..], &core[..], merged as u32)));
    args.push(("last", &row, n as u32));
    let doc = format!(
        "The medians of two boxes of {rows} sorted rows of {n} values that share all but their first and last."
    );
    source(&net, &found, &doc, &format!("medians_of_{rows}_by_{n}"), &args)
}

/// `UPDATE=1 cargo test -p ops --lib small_networks` writes the file anew.
#[test]
fn small_networks_are_those_of_this_module() {
    let mut text = String::from(
        "//! Networks of the windows that are used most, as code: their values stay in registers.\n\
         //!\n\
         //! Written by a test of `networks_written`.\n\n\
         use super::paired_rows::LANES;\n",
    );
    let mut parts = vec![sort(3), sort(5), merge_of_three()];
    for (n, rows) in [(3, 3), (5, 5), (3, 9), (9, 3)] {
        parts.extend([merge(n, rows), medians_as_code(n, rows)]);
    }
    parts.iter().for_each(|p| text += &format!("\n{p}"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/filter/small_networks.rs");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    assert!(std::fs::read_to_string(file).unwrap_or_default() == text, "{file} is not what `network` makes");
}
