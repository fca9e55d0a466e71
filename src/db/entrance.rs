//! Who may begin what needs several statements.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// So many places; who comes last is the first to get one that becomes free.
///
/// Where the database answers late, as many log-ins as come would share its connections, and each would come so far that
/// none comes to its end. So some begin and the others wait; and those who have waited for long have too little of their
/// time left to come to an end, so that it is not their turn. Where everybody can be served, nobody waits for long.
#[derive(Debug, Clone)]
pub(super) struct Entrance(Arc<Mutex<Places>>);

#[derive(Debug)]
struct Places {
    free: usize,
    /// The last one is the newest; those at the front give up first.
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Entrance);

impl Entrance {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Places { free: places, waiting: VecDeque::new() })))
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
                while places.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                    places.waiting.pop_front();
                }
                let (turn, place) = oneshot::channel();
                places.waiting.push_back(turn);
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
        let next = loop {
            match places.waiting.pop_back() {
                Some(turn) if turn.is_closed() => {}
                Some(turn) => break turn,
                None => {
                    places.free += 1;
                    return;
                }
            }
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

    #[tokio::test]
    async fn who_comes_last_is_let_in_first_and_who_has_left_is_passed_over() {
        let entrance = Entrance::new(1);
        let first = entrance.enter().await;
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(entrance.enter())).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        waiting.pop();
        drop(first);
        assert!(waiting[0].as_mut().now_or_never().is_none());
        let second = waiting[1].as_mut().now_or_never().unwrap();
        assert!(waiting[0].as_mut().now_or_never().is_none());
        drop(second);
        drop(waiting[0].as_mut().now_or_never().unwrap());
        assert!(entrance.enter().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_place_is_not_lost_with_who_leaves_before_taking_it() {
        let entrance = Entrance::new(1);
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
        let entrance = Entrance::new(1);
        let _place = entrance.enter().await;
        for _ in 0..1000 {
            assert!(entrance.enter().now_or_never().is_none());
        }
        assert_eq!(entrance.0.lock().unwrap().waiting.len(), 1);
    }
}
