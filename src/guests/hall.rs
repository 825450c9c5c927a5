//! Where guests come in, whichever way: lets them in or not, and hands each one's words to the task that serves it.

use super::admission::Admission;
use super::message::{FromGuest, GuestId, Request, ToGuest};
use super::visit::{End, House, INBOX, Visit};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Visits that have ended and wait for being noticed.
const ENDED: usize = 64;
/// How long goodbyes may take.
const FAREWELL: Duration = Duration::from_millis(420);

/// Serves guests until the last way in is gone.
pub async fn serve(house: Arc<House>, most: usize, mut requests: mpsc::Receiver<Request>) {
    let (ended_in, mut ended) = mpsc::channel(ENDED);
    let mut hall = Hall { house, admission: Admission::new(most), visits: HashMap::new(), ended: ended_in };
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => hall.take(request),
                None => break,
            },
            Some((guest, number)) = ended.recv() => hall.over(&guest, number),
        }
    }
    let visits: Vec<_> = hall.visits.drain().map(|(_, visit)| visit).collect();
    let goodbyes = visits.into_iter().map(|visit| async move {
        drop(visit.inbox);
        // A panic in there has nothing to tell us at the end.
        let _ = visit.task.await;
    });
    let _ = timeout(FAREWELL, futures_util::future::join_all(goodbyes)).await;
}

struct Hall {
    house: Arc<House>,
    admission: Admission,
    visits: HashMap<GuestId, UnderWay>,
    ended: mpsc::Sender<(GuestId, u64)>,
}

struct UnderWay {
    number: u64,
    inbox: mpsc::Sender<FromGuest>,
    task: JoinHandle<()>,
}

impl Hall {
    fn take(&mut self, Request { guest, said, replies }: Request) {
        let figures = &self.house.figures.guests;
        let offer = match said {
            FromGuest::Wants => None,
            FromGuest::Offer(offer) => Some(offer),
            FromGuest::Gone => {
                if let Some(visit) = self.visits.get(&guest)
                    && visit.inbox.try_send(FromGuest::Gone).is_err()
                {
                    self.end(&guest);
                }
                return;
            }
            said => {
                let taken = self.visits.get(&guest).is_some_and(|visit| visit.inbox.try_send(said).is_ok());
                if !taken {
                    // To nothing, or more than is listened to.
                    figures.rejected_messages.one();
                }
                return;
            }
        };
        let number = match self.admission.begin(&guest, Instant::now()) {
            Ok(number) => number,
            Err(refusal) => {
                figures.refused.one();
                tracing::info!(%guest, "a guest is not let in: {refusal}");
                let _ = replies.try_send((guest, ToGuest::Refused(refusal.to_string())));
                return;
            }
        };
        // Asked anew: what there was is over. It frees its place by itself.
        self.visits.remove(&guest);
        let (inbox, said) = mpsc::channel(INBOX);
        let visit = Visit { house: Arc::clone(&self.house), guest: guest.clone(), number, replies };
        let ended = self.ended.clone();
        let task = tokio::spawn(async move {
            let last_words = match visit.run(offer, said).await {
                End::Refused(why) => {
                    visit.house.figures.guests.refused.one();
                    tracing::info!(guest = %visit.guest, "a guest gets no pictures: {why}");
                    Some(ToGuest::Refused(why))
                }
                End::Lost(why) => Some(ToGuest::HangUp(why.into())),
                End::Left => None,
            };
            if let Some(message) = last_words {
                // Whoever does not hear it finds out by itself.
                let _ = visit.replies.try_send((visit.guest.clone(), message));
            }
            // Fails only when the hall is closed.
            let _ = ended.send((visit.guest, number)).await;
        });
        self.visits.insert(guest, UnderWay { number, inbox, task });
    }

    fn over(&mut self, guest: &GuestId, number: u64) {
        self.admission.end(guest, number);
        if self.visits.get(guest).is_some_and(|visit| visit.number == number) {
            self.visits.remove(guest);
        }
    }

    /// Its inbox closes, and so it ends.
    fn end(&mut self, guest: &GuestId) {
        self.visits.remove(guest);
    }
}
