package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

func TestOneRenewalAtATimeForAnOwner(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		for _, age := range []time.Duration{every, every + grace} {
			t.Run(fmt.Sprint("shared=", shared, " age=", age), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					k := running(t, nil)
					k.shelf.shared = shared
					_, one := k.signIn("alice")
					_, two := k.signIn("alice")
					release := k.hanging()
					defer release()
					later(age)
					var requests sync.WaitGroup
					for range 50 {
						for _, h := range []http.Header{one, two} {
							requests.Go(func() {
								if got, err := k.groups(h); err != nil || (age > every && got != "new") {
									t.Errorf("got %q, %v", got, err)
								}
							})
						}
					}
					synctest.Wait()
					want := int32(2)
					if shared {
						want = 1
					}
					k.wantsAsked(want)
					release()
					requests.Wait()
					synctest.Wait()
					k.wantsAsked(want)
					k.wants(one, "new")
					k.wants(two, "new")
				})
			})
		}
	}
}

func TestRefreshTokenIsNotShownTwiceByARequestThatCameWithAnOlderCopy(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{every, every + grace} {
		synctest.Test(t, func(t *testing.T) {
			k := running(t, nil)
			s, h := k.signIn("alice")
			k.shelf.pinned[s.ID] = s // every request opened its cookie before the renewal ended
			k.answer(func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
				if g.RefreshToken != "r" {
					t.Errorf("asked with %q", g.RefreshToken)
				}
				return k.newTokens(g), nil
			})
			later(age)
			for range 5 {
				if got, err := k.groups(h); err != nil || (age > every && got != "new") {
					t.Errorf("got %q, %v", got, err)
				}
				synctest.Wait()
			}
			k.wantsAsked(1)
		})
	}
}

func TestNoMoreThanSixteenRenewalsAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		k.answer(func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
			time.Sleep(time.Second) // of the bubble's clock
			return k.newTokens(g), nil
		})
		var due, old []http.Header
		for i := range 100 {
			_, h := k.signIn(fmt.Sprint("old", i))
			old = append(old, h)
		}
		later(grace)
		for i := range 100 {
			_, h := k.signIn(fmt.Sprint("due", i))
			due = append(due, h)
		}
		later(every)
		for _, h := range due {
			k.wants(h, "old")
		}
		var requests sync.WaitGroup
		for _, h := range old {
			requests.Go(func() {
				if got, err := k.groups(h); err != nil || got != "new" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		requests.Wait()
		if most := k.most.Load(); most != 16 {
			t.Errorf("%d at a time, want 16", most)
		}
	})
}

func TestRequestThatFindsNoPlaceWaitsTenSecondsAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		defer k.hanging()()
		var people []http.Header
		for i := range 40 {
			_, h := k.signIn(fmt.Sprint("p", i))
			people = append(people, h)
		}
		later(every + grace)
		var requests sync.WaitGroup
		for _, h := range people {
			requests.Go(func() {
				began := time.Now()
				_, err := k.groups(h)
				if waited := time.Since(began); !errors.Is(err, session.ErrStale) || waited != 10*time.Second {
					t.Errorf("got %v after %s; want ErrStale after 10s", err, waited)
				}
			})
		}
		requests.Wait()
	})
}

// crowd has the issuer hang for sixteen people, so that there is no place for a
// seventeenth; leave takes one of them away.
func (k *kept) crowd(answer session.RefreshFunc) (leave func(), fill func()) {
	gate := make(chan struct{}, 16)
	k.answer(func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
		if !strings.HasPrefix(g.Principal.Subject, "crowd") {
			return answer(ctx, g)
		}
		select {
		case <-gate:
			return k.newTokens(g), nil
		case <-ctx.Done():
			return identity.TokenSet{}, ctx.Err()
		}
	})
	var all []http.Header
	for i := range 16 {
		_, h := k.signIn(fmt.Sprint("crowd", i))
		all = append(all, h)
	}
	return func() { gate <- struct{}{}; synctest.Wait() }, func() {
		for _, h := range all {
			k.wants(h, "old")
		}
		synctest.Wait()
		if here := k.at.Load(); here != 16 {
			k.t.Fatalf("%d at the issuer, want 16", here)
		}
	}
}

func TestRequestsOfOneOwnerThatWaitedForAPlaceAskOnce(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(k *kept, g identity.TokenSet) (identity.TokenSet, error){
		"an answer":  func(k *kept, g identity.TokenSet) (identity.TokenSet, error) { return k.newTokens(g), nil },
		"an error":   func(*kept, identity.TokenSet) (identity.TokenSet, error) { return identity.TokenSet{}, errGateway },
		"later both": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := running(t, nil)
				var alices int32
				_, h := k.signIn("alice")
				later(grace)
				leave, fill := k.crowd(func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
					alices++ // twice at a time would be a data race
					if answer == nil {
						time.Sleep(time.Second) // of the bubble's clock
						return k.newTokens(g), nil
					}
					return answer(k, g)
				})
				later(every)
				fill()
				var requests sync.WaitGroup
				for range 3 {
					requests.Go(func() {
						if got, err := k.groups(h); (err != nil || got != "new") && !errors.Is(err, errGateway) {
							t.Errorf("got %q, %v", got, err)
						}
					})
				}
				synctest.Wait()
				for range 3 {
					leave()
				}
				requests.Wait()
				if alices != 1 {
					t.Errorf("the issuer was asked %d times, want once", alices)
				}
			})
		})
	}
}

func TestWhoNeedsNoPlaceDoesNotWaitForOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, failed := k.signIn("alice")
		later(grace)
		_, fill := k.crowd(func(context.Context, identity.TokenSet) (identity.TokenSet, error) {
			return identity.TokenSet{}, errGateway
		})
		later(every)
		if _, err := k.groups(failed); !errors.Is(err, errGateway) {
			t.Errorf("got %v; want why", err)
		}
		fill()
		began := time.Now()
		if _, err := k.groups(failed); !errors.Is(err, errGateway) || time.Since(began) > 0 {
			t.Errorf("backing off: got %v after %s; want why, at once", err, time.Since(began))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, h := k.signIn("alice")
		_, bob := k.signIn("bob")
		later(grace)
		gate := make(chan struct{})
		leave, fill := k.crowd(func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
			if g.Principal.Subject == "alice" {
				<-gate
				return k.newTokens(g), nil
			}
			<-ctx.Done()
			return identity.TokenSet{}, ctx.Err()
		})
		later(every)
		fill()
		var requests sync.WaitGroup
		request := func() {
			began := time.Now()
			if got, err := k.groups(h); err != nil || got != "new" || time.Since(began) > 0 {
				t.Errorf("got %q, %v after %s", got, err, time.Since(began))
			}
		}
		requests.Go(request)
		synctest.Wait()
		leave() // alice has the sixteenth place
		requests.Go(func() { _, _ = k.groups(bob) })
		synctest.Wait()
		requests.Go(request) // joins the first, and does not stand behind bob
		synctest.Wait()
		close(gate)
		requests.Wait()
	})
}

func TestNewestRefreshTokenIsShownEvenWhereTheGroupsAreOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signIn("alice")
		k.shelf.pinned[s.ID] = s
		k.shelf.change(s.ID, func(s *session.Session) { s.RefreshToken = "rotated" })
		k.answer(func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
			if g.RefreshToken != "rotated" {
				t.Errorf("asked with %q", g.RefreshToken)
			}
			return k.newTokens(g), nil
		})
		later(every + grace)
		k.wants(h, "new")
	})
}

func TestRenewalGoesOnWhenItsRequestGoesAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, h := k.signIn("alice")
		release := k.hanging()
		defer release()
		later(every + grace)
		ctx, leave := context.WithCancel(t.Context())
		var request sync.WaitGroup
		request.Go(func() {
			if _, err := k.Find(ctx, h, true); !errors.Is(err, session.ErrStale) {
				t.Errorf("got %v; want ErrStale", err)
			}
		})
		synctest.Wait()
		leave()
		request.Wait()
		release()
		synctest.Wait()
		k.wants(h, "new")
		k.wantsAsked(1)
	})
}
