//! Who may begin what needs several statements.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// So many places. One that becomes free goes to the oldest of those who have time left, and to the newest if nobody
/// has.
///
/// Where the database answers late, as many log-ins as come would share its connections, and each would come so far
/// that none comes to its end. So a first statement needs a place until it is answered, or for half of its time, and the
/// later ones, whose connections those would take, need none. The wait is of the first statement's time. First come,
/// first served alone would give each place to somebody who is about to give up, once more come than there are places
/// for; the newest first would let somebody wait in vain who came a moment too early. Where everybody can be served,
/// nobody waits for long.
#[derive(Debug, Clone)]
pub(super) struct Entrance(Arc<Mutex<Places>>);

#[derive(Debug)]
struct Places {
    free: usize,
    /// For so long somebody who waits has time left for the statement.
    patience: Duration,
    /// Since when; the last one is the newest.
    waiting: VecDeque<(Instant, oneshot::Sender<Place>)>,
}

impl Places {
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        loop {
            let newest = self.waiting.len().checked_sub(1)?;
            let late = self.waiting.partition_point(|(since, _)| since.elapsed() >= self.patience);
            let (_, turn) = self.waiting.remove(late.min(newest))?;
            if !turn.is_closed() {
                return Some(turn);
            }
        }
    }
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Entrance);

impl Entrance {
    /// Who has waited for longer than `patience` comes after those who have not.
    pub(super) fn new(places: usize, patience: Duration) -> Self {
        let places = Places { free: places, patience, waiting: VecDeque::new() };
        Self(Arc::new(Mutex::new(places)))
    }

    /// Waits for a place.
    pub(super) async fn enter(&self) -> Place {
        loop {
            let place = {
                let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if places.free > 0 {
                    places.free -= 1;
                    return Place(self.clone());
                }
                while places.waiting.front().is_some_and(|(_, turn)| turn.is_closed()) {
                    places.waiting.pop_front();
                }
                let (turn, place) = oneshot::channel();
                places.waiting.push_back((Instant::now(), turn));
                place
            };
            if let Ok(place) = place.await {
                return place;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(next) = places.next() else {
            places.free += 1;
            return;
        };
        drop(places);
        // Who gives up in this moment drops the place, and so gives it back.
        let _ = next.send(Self(self.0.clone()));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    /// Who is let in, of four who come one after the other, when those of `late` have waited for long and those of
    /// `left` do not wait any more.
    async fn order(late: usize, left: &[usize]) -> Vec<usize> {
        let entrance = Entrance::new(1, PATIENCE);
        let mut place = entrance.enter().await;
        let mut waiting = Vec::new();
        for one in 0..=4 {
            if one == late {
                tokio::time::sleep(PATIENCE).await;
            }
            if one == 4 {
                break;
            }
            let mut enters = Box::pin(entrance.enter());
            assert!(enters.as_mut().now_or_never().is_none());
            waiting.push((one, enters));
        }
        waiting.retain(|(one, _)| !left.contains(one));
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(place);
            let mut entered = Vec::new();
            for (at, (_, enters)) in waiting.iter_mut().enumerate() {
                if let Some(place) = enters.as_mut().now_or_never() {
                    entered.push((at, place));
                }
            }
            assert_eq!(entered.len(), 1, "one place lets one in");
            let (at, entered) = entered.remove(0);
            order.push(waiting.remove(at).0);
            place = entered;
        }
        drop(place);
        assert!(entrance.enter().now_or_never().is_some());
        order
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_comes_first_of_those_who_have_time_left() {
        assert_eq!(order(0, &[]).await, [0, 1, 2, 3]);
        assert_eq!(order(2, &[]).await, [2, 3, 1, 0]);
        assert_eq!(order(4, &[]).await, [3, 2, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_left_is_passed_over() {
        assert_eq!(order(0, &[0, 2]).await, [1, 3]);
        assert_eq!(order(2, &[1, 2]).await, [3, 0]);
    }

    #[tokio::test]
    async fn a_place_is_not_lost_with_who_leaves_before_taking_it() {
        let entrance = Entrance::new(1, PATIENCE);
        for _ in 0..10_000 {
            let place = entrance.enter().now_or_never().unwrap();
            let mut leaves = Box::pin(entrance.enter());
            assert!(leaves.as_mut().now_or_never().is_none());
            drop(place);
            drop(leaves);
            let place = entrance.enter().now_or_never().unwrap();
            let mut gives_up = Box::pin(entrance.enter());
            assert!(gives_up.as_mut().now_or_never().is_none());
            drop(gives_up);
            drop(place);
        }
        let places = entrance.0.lock().unwrap();
        assert_eq!((places.free, places.waiting.len()), (1, 0));
    }

    #[tokio::test]
    async fn those_who_have_left_are_not_kept() {
        let entrance = Entrance::new(1, PATIENCE);
        let _place = entrance.enter().await;
        for _ in 0..1000 {
            assert!(entrance.enter().now_or_never().is_none());
        }
        assert_eq!(entrance.0.lock().unwrap().waiting.len(), 1);
    }
}
