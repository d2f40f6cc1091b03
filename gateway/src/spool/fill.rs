//! How full a spool is of frames that the collector does not have, told at three levels.

/// Percent at which somebody should know.
const LEVELS: [u8; 3] = [95, 80, 50];
/// Percent below a level at which it is over: a spool that hovers at a level tells it once.
const HYSTERESIS: u8 = 5;

/// The level that was told last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fill {
    level: u8,
}

impl Fill {
    /// The level that holds: 0, 50, 80 or 95.
    pub(super) const fn level(self) -> u8 {
        self.level
    }

    /// Notes how full the spool is. Gives the level that holds now, when that is news.
    pub(super) fn note(&mut self, percent: u8) -> Option<u8> {
        let reached = LEVELS.into_iter().find(|&level| percent >= level).unwrap_or(0);
        let stays = LEVELS.into_iter().find(|&level| percent.saturating_add(HYSTERESIS) >= level).unwrap_or(0).min(self.level);
        let level = reached.max(stays);
        let news = level != self.level;
        self.level = level;
        news.then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_is_told_once_on_the_way_up_and_once_on_the_way_down() {
        let mut fill = Fill::default();
        let told = |fill: &mut Fill, percents: &[u8]| percents.iter().filter_map(|&percent| fill.note(percent)).collect::<Vec<_>>();
        assert_eq!(told(&mut fill, &[0, 49, 50, 49, 51, 46, 79, 50, 80, 76, 81, 94, 95, 100]), [50, 80, 95]);
        assert_eq!(told(&mut fill, &[91, 95, 90, 89, 91, 76, 75, 74, 60, 46, 45, 44, 10]), [80, 50, 0]);
        assert_eq!(told(&mut fill, &[100, 0]), [95, 0]);
        assert_eq!(fill.level(), 0);
    }
}
