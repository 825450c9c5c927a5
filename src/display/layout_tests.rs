//! Whether all that is written has room: no text beyond its panel, and none over another.

use super::canvas::Block;
use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use bevy::text::TextLayoutInfo;

/// What a text may be beyond its box, in pixels: boxes are rounded to whole ones.
const ROUNDING: f32 = 1.0;

/// All that is written, where, and in which panels.
#[derive(SystemParam)]
pub struct Layout<'w, 's> {
    texts: Query<'w, 's, (Entity, &'static Text, &'static TextLayoutInfo)>,
    nodes: Query<'w, 's, (&'static Node, &'static ComputedNode, &'static UiGlobalTransform)>,
    blocks: Query<'w, 's, (), With<Block>>,
    parents: Query<'w, 's, &'static ChildOf>,
}

impl Layout<'_, '_> {
    fn area(&self, entity: Entity) -> Option<Rect> {
        let (_, node, at) = self.nodes.get(entity).ok()?;
        Some(Rect::from_center_size(at.translation, node.size()))
    }

    fn is_shown(&self, entity: Entity) -> bool {
        let mut line = std::iter::once(entity).chain(self.parents.iter_ancestors(entity));
        line.all(|it| self.nodes.get(it).is_ok_and(|(node, ..)| node.display != Display::None))
    }

    /// What has no room in a window of this size, in words; none if all has.
    pub fn misfits(&self, window: Vec2) -> Vec<String> {
        let mut misfits = Vec::new();
        let mut shown: Vec<(&str, Rect)> = Vec::new();
        for (entity, text, layout) in &self.texts {
            if text.is_empty() || !self.is_shown(entity) {
                continue;
            }
            let Some(own) = self.area(entity) else { continue };
            let words = text.as_str();
            // Of the letters themselves: the layout's own size has the space at the end of a line, too.
            let letters = layout.glyphs.iter().map(|glyph| glyph.position + glyph.atlas_info.rect.size() / 2.0);
            let written = letters.fold(Vec2::ZERO, Vec2::max);
            if (written - own.size()).max_element() > ROUNDING {
                misfits.push(format!("{words:?} takes {written} and has {}", own.size()));
            }
            let written = Rect::from_corners(own.min, own.min + written);
            let block = self.parents.iter_ancestors(entity).find(|it| self.blocks.contains(*it));
            let screen = Rect::from_corners(Vec2::ZERO, window);
            for (what, room) in [("its panel", block.and_then(|it| self.area(it))), ("the window", Some(screen))] {
                let Some(room) = room else { continue };
                if !room.inflate(ROUNDING).contains(written.min) || !room.inflate(ROUNDING).contains(written.max) {
                    misfits.push(format!("{words:?} at {written:?} goes beyond {what}, {room:?}"));
                }
            }
            for (other, area) in &shown {
                if area.intersect(written).size().min_element() > 2.0 * ROUNDING {
                    misfits.push(format!("{words:?} lies over {other:?}"));
                }
            }
            shown.push((words, written));
        }
        if shown.is_empty() {
            misfits.push("nothing is written".to_owned());
        }
        misfits
    }
}
