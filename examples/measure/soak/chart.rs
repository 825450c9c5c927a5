//! Curves over time, as a picture that any browser shows.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 30.0;
const GAP: f64 = 45.0;
const COLOURS: [&str; 2] = ["#1f77b4", "#d95f02"];

/// One portal's values over time, in seconds.
pub struct Curve {
    /// Which portal.
    pub name: &'static str,
    /// Time and value.
    pub points: Vec<(f64, f64)>,
}

/// Several plots above each other, with one time below them.
pub struct Chart {
    /// How long, in seconds.
    pub seconds: f64,
    /// Title and curves of each plot.
    pub plots: Vec<(&'static str, [Curve; 2])>,
    /// When something happened, in seconds.
    pub marks: Vec<f64>,
}

impl Chart {
    /// As a file.
    pub fn svg(&self) -> String {
        let height = TOP + self.plots.len() as f64 * (HEIGHT + GAP);
        let mut svg = String::new();
        // Writing to a String does not fail.
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"12\">\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
            LEFT + WIDTH + 20.0
        );
        for (number, (title, curves)) in self.plots.iter().enumerate() {
            self.plot(&mut svg, TOP + number as f64 * (HEIGHT + GAP), title, curves);
        }
        svg + "</svg>\n"
    }

    fn plot(&self, svg: &mut String, top: f64, title: &str, curves: &[Curve; 2]) {
        let values = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, value)| *value));
        let most = values.fold(1.0, f64::max) * 1.1;
        let x = |seconds: f64| LEFT + WIDTH * seconds / self.seconds.max(1.0);
        let y = |value: f64| top + HEIGHT * (1.0 - value / most);
        for mark in &self.marks {
            let at = x(*mark);
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{}\" stroke=\"#ddd\"/>",
                top + HEIGHT
            );
        }
        for part in 0..=2 {
            let value = most * f64::from(part) / 2.0;
            let at = y(value);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#999\" stroke-width=\"0.5\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
                LEFT + WIDTH,
                LEFT - 6.0,
                at + 4.0
            );
        }
        let minutes = (self.seconds / 60.0 / 6.0).max(1.0).round();
        let mut at_s = 0.0;
        while at_s <= self.seconds {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0} min</text>",
                x(at_s),
                top + HEIGHT + 15.0,
                at_s / 60.0
            );
            at_s += minutes * 60.0;
        }
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{title}</text>", top - 6.0);
        for (number, curve) in curves.iter().enumerate() {
            let points: String =
                curve.points.iter().map(|(at, value)| format!("{:.1},{:.1} ", x(*at), y(*value))).collect();
            let colour = COLOURS[number];
            let _ = writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\"/>");
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                LEFT + 230.0 + 30.0 * number as f64,
                top - 6.0,
                curve.name
            );
        }
    }
}
