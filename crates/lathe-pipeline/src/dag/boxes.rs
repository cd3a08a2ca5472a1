/// Blanks between two boxes of a row.
const GAP: usize = 3;
/// Rows are brought into a better order this often.
const SWEEPS: usize = 8;

/// Something in a row: a box, or a line that goes through.
struct Item {
    name: Option<usize>,
    width: usize,
    /// Of its middle.
    x: usize,
}

/// Draws a connected graph without circles; edges lead downwards.
pub fn draw(names: &[&str], edges: &[(usize, usize)]) -> String {
    let levels = levels(names.len(), edges);
    let depth = levels.iter().max().map_or(0, |level| level + 1);
    let mut items: Vec<Item> = names
        .iter()
        .enumerate()
        .map(|(index, name)| Item {
            name: Some(index),
            width: name.chars().count() + 4,
            x: 0,
        })
        .collect();
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for (node, level) in levels.iter().enumerate() {
        rows[*level].push(node);
    }
    // A line that spans several rows goes through each of them.
    let mut links: Vec<Vec<(usize, usize)>> = vec![Vec::new(); depth];
    for &(from, to) in edges {
        let mut above = from;
        for level in levels[from] + 1..levels[to] {
            let through = items.len();
            items.push(Item {
                name: None,
                width: 1,
                x: 0,
            });
            rows[level].push(through);
            links[level - 1].push((above, through));
            above = through;
        }
        links[levels[to] - 1].push((above, to));
    }
    order(&mut rows, &links);
    place(&mut items, &rows, &links);
    let mut canvas = Canvas { rows: Vec::new() };
    for level in 0..depth {
        canvas.row(&items, &rows[level], names);
        if level + 1 < depth {
            canvas.lines(&items, &links[level]);
        }
    }
    canvas.text()
}

/// How far down each node is: one below the lowest that it needs.
fn levels(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut levels = vec![0; count];
    let mut waiting = vec![0; count];
    let mut next = vec![Vec::new(); count];
    for &(from, to) in edges {
        waiting[to] += 1;
        next[from].push(to);
    }
    let mut open: Vec<usize> = (0..count).filter(|node| waiting[*node] == 0).collect();
    while let Some(node) = open.pop() {
        for &to in &next[node] {
            levels[to] = levels[to].max(levels[node] + 1);
            waiting[to] -= 1;
            if waiting[to] == 0 {
                open.push(to);
            }
        }
    }
    levels
}

/// Sorts each row by the middle of its neighbours, downwards and upwards in turn.
fn order(rows: &mut [Vec<usize>], links: &[Vec<(usize, usize)>]) {
    for sweep in 0..SWEEPS {
        let downwards = sweep % 2 == 0;
        for step in 1..rows.len() {
            let (row, fixed) = if downwards {
                (step, step - 1)
            } else {
                (rows.len() - 1 - step, rows.len() - step)
            };
            let between = &links[row.min(fixed)];
            let position = |node: usize| rows[fixed].iter().position(|other| *other == node).unwrap_or(0);
            let mut keyed: Vec<(f64, usize)> = Vec::new();
            for (at, &node) in rows[row].iter().enumerate() {
                let neighbours: Vec<usize> = between
                    .iter()
                    .filter_map(|(above, below)| match downwards {
                        true => (*below == node).then(|| position(*above)),
                        false => (*above == node).then(|| position(*below)),
                    })
                    .collect();
                let middle = match neighbours.len() {
                    0 => at as f64,
                    count => neighbours.iter().sum::<usize>() as f64 / count as f64,
                };
                keyed.push((middle, node));
            }
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[row] = keyed.into_iter().map(|(_, node)| node).collect();
        }
    }
}

/// Gives everything its place: each below the middle of what is above it as far as there is room.
fn place(items: &mut [Item], rows: &[Vec<usize>], links: &[Vec<(usize, usize)>]) {
    for (level, row) in rows.iter().enumerate() {
        let mut left = 0;
        for &node in row {
            let half = items[node].width / 2;
            let above: Vec<usize> = match level {
                0 => Vec::new(),
                _ => links[level - 1]
                    .iter()
                    .filter(|(_, below)| *below == node)
                    .map(|(above, _)| items[*above].x)
                    .collect(),
            };
            let wanted = match above.len() {
                0 => half,
                count => above.iter().sum::<usize>() / count,
            };
            items[node].x = wanted.max(left + half);
            left = items[node].x - half + items[node].width + GAP;
        }
    }
    // What is above several boxes stands over their middle, if nothing stands there.
    for (level, row) in rows.iter().enumerate().rev().skip(1) {
        let mut right = usize::MAX;
        for &node in row.iter().rev() {
            let below: Vec<usize> = links[level]
                .iter()
                .filter(|(above, _)| *above == node)
                .map(|(_, below)| items[*below].x)
                .collect();
            let half = items[node].width / 2;
            if !below.is_empty() {
                let middle = below.iter().sum::<usize>() / below.len();
                let most = right.saturating_sub(GAP + items[node].width).saturating_add(half);
                items[node].x = items[node].x.max(middle.min(most));
            }
            right = items[node].x - half;
        }
    }
}

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

struct Canvas {
    rows: Vec<Vec<char>>,
}

impl Canvas {
    fn put(&mut self, row: usize, x: usize, c: char) {
        while self.rows.len() <= row {
            self.rows.push(Vec::new());
        }
        let line = &mut self.rows[row];
        if line.len() <= x {
            line.resize(x + 1, ' ');
        }
        line[x] = c;
    }

    fn row(&mut self, items: &[Item], row: &[usize], names: &[&str]) {
        let top = self.rows.len();
        for &node in row {
            let item = &items[node];
            let left = item.x - item.width / 2;
            let Some(name) = item.name else {
                (0..3).for_each(|line| self.put(top + line, item.x, '│'));
                continue;
            };
            let bar = "─".repeat(item.width - 2);
            let lines = [
                format!("┌{bar}┐"),
                format!("│ {} │", names[name]),
                format!("└{bar}┘"),
            ];
            for (line, text) in lines.iter().enumerate() {
                for (offset, c) in text.chars().enumerate() {
                    self.put(top + line, left + offset, c);
                }
            }
        }
    }

    /// Three lines between two rows: down, across, down.
    fn lines(&mut self, items: &[Item], links: &[(usize, usize)]) {
        let width = links
            .iter()
            .map(|(above, below)| items[*above].x.max(items[*below].x))
            .max();
        let Some(width) = width else { return };
        let top = self.rows.len();
        let mut across = vec![0_u8; width + 1];
        for &(above, below) in links {
            let (from, to) = (items[above].x, items[below].x);
            self.put(top, from, '│');
            let head = if items[below].name.is_some() { '▼' } else { '│' };
            self.put(top + 2, to, head);
            across[from] |= UP;
            across[to] |= DOWN;
            let (left, right) = (from.min(to), from.max(to));
            for (x, cell) in across.iter_mut().enumerate().take(right + 1).skip(left) {
                if left < x {
                    *cell |= LEFT;
                }
                if x < right {
                    *cell |= RIGHT;
                }
            }
        }
        for (x, cell) in across.into_iter().enumerate() {
            let c = match cell {
                0 => continue,
                c if c == UP | DOWN => '│',
                c if c == LEFT | RIGHT => '─',
                c if c == UP | RIGHT => '└',
                c if c == UP | LEFT => '┘',
                c if c == DOWN | RIGHT => '┌',
                c if c == DOWN | LEFT => '┐',
                c if c == UP | DOWN | RIGHT => '├',
                c if c == UP | DOWN | LEFT => '┤',
                c if c == UP | LEFT | RIGHT => '┴',
                c if c == DOWN | LEFT | RIGHT => '┬',
                _ => '┼',
            };
            self.put(top + 1, x, c);
        }
    }

    fn text(self) -> String {
        let mut text = String::new();
        for row in self.rows {
            let line: String = row.into_iter().collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
