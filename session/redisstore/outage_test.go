//go:build linux

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

func isDown(s *redisstore.Store) func() error {
	return func() error {
		if err := s.Down(); !errors.Is(err, session.ErrStoreDown) {
			return fmt.Errorf("down: %w", err)
		}
		return nil
	}
}

// quickly fails where something takes longer than a person waits.
func quickly(t *testing.T, what string, do func()) {
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%s took %s", what, took)
	}
}

func TestWhileRedisHangsCachedSessionsWorkForAMinuteAndNoneIsSentToLogIn(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	at, other := r.add(), r.add()
	known, s := r.login(at, "alice", "first")
	unknown, _ := r.login(other, "bob", "bobs")
	redis.pause(t)
	quickly(t, "a known session", func() {
		if err := wants(at, known, "first")(); err != nil {
			t.Error(err)
		}
	})
	quickly(t, "an unknown session", func() {
		if err := wantsError(at, unknown, session.ErrStoreDown)(); err != nil {
			t.Error(err)
		}
	})
	until(t, 10*time.Second, "it is down", isDown(at))
	began := time.Now()
	for range 100 {
		if err := errors.Join(wants(at, known, "first")(), wantsError(at, unknown, session.ErrStoreDown)()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("200 requests of an outage took %s: they queue for it", took)
	}
	if _, err := at.Current(s); err != nil {
		t.Errorf("a stream: %v", err)
	}
	quickly(t, "a login", func() {
		w := httptest.NewRecorder()
		_, err := at.Create(t.Context(), w, nil, session.New(r.grant("carol", "carols"), r.clock.now(), time.Hour), true)
		if !errors.Is(err, session.ErrStoreDown) || len(w.Result().Cookies()) != 0 {
			t.Errorf("%v, cookies %v", err, w.Result().Cookies())
		}
	})
	r.clock.move(time.Minute)
	if err := wantsError(at, known, session.ErrStoreDown)(); err != nil {
		t.Error("after a minute:", err)
	}
	if _, err := at.Current(s); !errors.Is(err, session.ErrStoreDown) {
		t.Errorf("a stream after a minute: %v", err)
	}
	redis.resume(t)
	until(t, 5*time.Second, "known sessions are back", wants(at, known, "first"))
	until(t, 5*time.Second, "unknown sessions are there", wants(at, unknown, "bobs"))
	until(t, 5*time.Second, "it is up", at.Down)
	if _, err := at.Current(s); err != nil {
		t.Errorf("a stream afterwards: %v", err)
	}
	for _, says := range []string{"session store unreachable", "session store reachable again"} {
		if !strings.Contains(r.log.text(), says) {
			t.Errorf("the log lacks %q:\n%s", says, r.log.text())
		}
	}
}

func TestARedisThatIsAwayAtStartIsNoErrorAndIsUsedOnceItIsThere(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	redis.kill()
	r := newReplicas(t, redis.url())
	at := r.open(r.options())
	if err := isDown(at)(); err != nil {
		t.Error("before it was asked:", err)
	}
	r.run(at)
	if err := wantsError(at, r.stranger(), session.ErrStoreDown)(); err != nil {
		t.Error(err)
	}
	redis.start(t)
	until(t, 10*time.Second, "it is up", at.Down)
	b, _ := r.login(at, "alice", "first")
	if err := wants(at, b, "first")(); err != nil {
		t.Error(err)
	}
}

func TestAfterARestartSessionsAreWhatRedisKept(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want error
	}{
		"with an append-only file": {[]string{"--appendonly", "yes", "--appendfsync", "always"}, nil},
		"without":                  {nil, session.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := startRedis(t, test.args...)
			r := newReplicas(t, redis.url())
			at := r.add()
			b, s := r.login(at, "alice", "first")
			redis.kill()
			until(t, 10*time.Second, "it is down", isDown(at))
			if err := wants(at, b, "first")(); err != nil {
				t.Error("while it is away:", err)
			}
			redis.start(t)
			until(t, 10*time.Second, "it is up", at.Down)
			if test.want == nil {
				if err := wants(at, b, "first")(); err != nil {
					t.Error(err)
				}
				return
			}
			until(t, 2*time.Second, "it has ended", wantsError(at, b, test.want))
			if _, err := at.Current(s); !errors.Is(err, test.want) {
				t.Errorf("a stream: %v", err)
			}
		})
	}
}

func TestAFlushedRedisEndsSessionsWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	at := r.add()
	b, s := r.login(at, "alice", "first")
	if err := redis.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, 2*time.Second, "it has ended", wantsError(at, b, session.ErrExpired))
	if _, err := at.Current(s); !errors.Is(err, session.ErrExpired) {
		t.Errorf("a stream: %v", err)
	}
	b, _ = r.login(at, "alice", "second")
	if err := wants(at, b, "second")(); err != nil {
		t.Error(err)
	}
}

func TestEvictedSessionsEndAndNothingElseFails(t *testing.T) {
	t.Parallel()
	redis := startRedis(t, "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
	r := newReplicas(t, redis.url())
	at, fresh := r.add(), r.add()
	var people []sessiontest.Browser
	for i := range 30 {
		b, _ := r.login(at, "user-"+strconv.Itoa(i), "first")
		people = append(people, b)
	}
	for i := range 4000 {
		if err := redis.client.Set(t.Context(), "ballast-"+strconv.Itoa(i), strings.Repeat("x", 1000), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	over := 0
	for _, b := range people {
		switch s, err := opens(fresh, b); {
		case err == nil && s.RefreshToken == "refresh-first":
		case errors.Is(err, session.ErrExpired):
			over++
		default:
			t.Errorf("neither there nor over: %v", err)
		}
	}
	if over == 0 {
		t.Error("nothing was evicted: the test tries nothing")
	}
	b, _ := r.login(at, "alice", "second")
	if err := wants(fresh, b, "second")(); err != nil {
		t.Error(err)
	}
}

func TestASessionThatRedisEvictedIsNotedWhileItIsUsed(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	at := r.add()
	b, _ := r.login(at, "alice", "first")
	if err := redis.client.Del(t.Context(), redis.keys(t, "authgate:grant:*")...).Err(); err != nil {
		t.Fatal(err)
	}
	r.clock.move(time.Minute)
	redis.polled(t, 1) // the cache is used
	until(t, 5*time.Second, "it has ended", wantsError(at, b, session.ErrExpired))
}

func TestAReplicaThatMissedChangesReadsEverythingAgain(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	here, there := r.add(), r.add()
	first, _ := r.login(here, "alice", "first")
	bob, _ := r.login(here, "bob", "bobs")
	if err := errors.Join(wants(there, first, "first")(), wants(there, bob, "bobs")()); err != nil {
		t.Fatal(err)
	}
	second, _ := r.login(here, "alice", "second")
	if _, err := here.Revoke(t.Context(), session.Filter{Email: "bob@example.com"}); err != nil {
		t.Fatal(err)
	}
	if err := redis.client.XTrimMaxLen(t.Context(), "authgate:{feed}", 0).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, 2*time.Second, "there has the new grant", wants(there, first, "second"))
	until(t, 2*time.Second, "bob's has ended", wantsError(there, bob, session.ErrExpired))
	if err := wants(there, second, "second")(); err != nil {
		t.Error(err)
	}
}

func TestAReplicaThatHearsNothingBelievesItsMemoryNoLonger(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here := r.add()
	there := r.open(r.options()) // does not run
	b, _ := r.login(here, "alice", "first")
	if err := wants(there, b, "first")(); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Revoke(t.Context(), session.Filter{All: true}); err != nil {
		t.Fatal(err)
	}
	if err := wantsError(there, b, session.ErrExpired)(); err != nil {
		t.Error(err)
	}
}

func TestAFailureThatNoPollHasNotedYetEndsNoKnownSession(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	at := r.open(r.options()) // does not poll
	b, _ := r.login(at, "alice", "first")
	if err := wants(at, b, "first")(); err != nil {
		t.Fatal(err)
	}
	redis.kill()
	for range 2 { // the first finds out, the second knows
		if err := errors.Join(wants(at, b, "first")(), wantsError(at, r.stranger(), session.ErrStoreDown)()); err != nil {
			t.Error(err)
		}
	}
	r.clock.move(time.Minute)
	if err := wantsError(at, b, session.ErrStoreDown)(); err != nil {
		t.Error("after a minute:", err)
	}
}

func TestARefreshTokenThatCameWithAnUnverifiedIDTokenIsNotLost(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here, there := r.add(), r.add()
	b, s := r.login(here, "alice", "first")
	rotated := s.TokenSet
	rotated.RefreshToken = "refresh-rotated"
	why := &identity.UnverifiedError{Tokens: rotated}
	got, err := here.Refresh(t.Context(), s, func(context.Context, identity.TokenSet) (identity.TokenSet, error) { return identity.TokenSet{}, why })
	if !errors.Is(err, why) || !got.FetchedAt.Equal(s.FetchedAt) {
		t.Errorf("got %v", got.FetchedAt)
	}
	until(t, 2*time.Second, "the token is everywhere", func() error {
		return errors.Join(wants(here, b, "rotated")(), wants(there, b, "rotated")())
	})
	if now, err := opens(there, b); err != nil || !now.FetchedAt.Equal(s.FetchedAt) {
		t.Errorf("its groups look fresh: %v", err)
	}
}

func TestARefreshTokenThatRedisDidNotTakeIsStoredWhenItAnswersAgain(t *testing.T) {
	t.Parallel()
	redis := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	r := newReplicas(t, redis.url())
	here, there := r.add(), r.add()
	b, s := r.login(here, "alice", "first")
	fresh := r.grant("alice", "rotated")
	fresh.FetchedAt = r.clock.now().Add(time.Second)
	got, err := here.Refresh(t.Context(), s, func(context.Context, identity.TokenSet) (identity.TokenSet, error) {
		redis.kill()
		return fresh, nil
	})
	if err != nil || got.RefreshToken != "refresh-rotated" {
		t.Fatalf("renewed to %v", err)
	}
	until(t, 10*time.Second, "it is down", isDown(here))
	if err := wants(here, b, "rotated")(); err != nil {
		t.Error("meanwhile:", err)
	}
	redis.start(t)
	until(t, 10*time.Second, "the token is in redis", wants(there, b, "rotated"))
}

func TestASignOutWhileRedisIsAwayIsDoneWhenItAnswersAgain(t *testing.T) {
	t.Parallel()
	redis := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	r := newReplicas(t, redis.url())
	here, there := r.add(), r.add()
	b, s := r.login(here, "alice", "first")
	if err := wants(there, b, "first")(); err != nil {
		t.Fatal(err)
	}
	redis.kill()
	if _, err := here.Revoke(t.Context(), session.Filter{ID: s.ID}); !errors.Is(err, session.ErrStoreDown) {
		t.Errorf("signing out: %v", err)
	}
	if err := wantsError(here, b, session.ErrExpired)(); err != nil {
		t.Error("here:", err)
	}
	redis.start(t)
	until(t, 10*time.Second, "it has ended there", wantsError(there, b, session.ErrExpired))
	if left := redis.keys(t, "authgate:session:*"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

func TestTheIssuersFailureIsNoEnd(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here, there := r.add(), r.add()
	b, s := r.login(here, "alice", "first")
	away := errors.New("the issuer is away")
	if _, err := here.Refresh(t.Context(), s, func(context.Context, identity.TokenSet) (identity.TokenSet, error) { return identity.TokenSet{}, away }); !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
	fresh := r.grant("alice", "later")
	atOnce, cancel := context.WithTimeout(t.Context(), 5*time.Second) // far less than the lock would last
	defer cancel()
	if got, err := there.Refresh(atOnce, s, answers(fresh)); err != nil || got.RefreshToken != "refresh-later" {
		t.Errorf("renewed to %v", err)
	}
	until(t, 2*time.Second, "it goes on", wants(here, b, "later"))
}

func TestARenewalElsewhereIsWaitedForAsLongAsTheCallerMay(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here, there := r.add(), r.add()
	_, s := r.login(here, "alice", "first")
	done := make(chan struct{})
	got, err := here.Refresh(t.Context(), s, func(context.Context, identity.TokenSet) (identity.TokenSet, error) {
		defer close(done)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := there.Refresh(ctx, s, answers(identity.TokenSet{})); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("there: %v", err)
		}
		return r.grant("alice", "second"), nil
	})
	<-done
	if err != nil || got.RefreshToken != "refresh-second" {
		t.Errorf("here: %v", err)
	}
}

func TestModifiedRecordsInRedisAreRejected(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	for name, spoil := range map[string]func(key string){
		"garbage":         func(key string) { server.client.Set(t.Context(), key, "garbage", 0) },
		"an empty string": func(key string) { server.client.Set(t.Context(), key, "", 0) },
		"another type":    func(key string) { server.client.Del(t.Context(), key); server.client.LPush(t.Context(), key, "x") },
		"an empty grant": func(key string) {
			server.client.Del(t.Context(), key)
			server.client.HSet(t.Context(), key, "f", "x", "n", "-1", "g", "")
		},
		"no more": func(key string) { server.client.Del(t.Context(), key) },
	} {
		for _, pattern := range []string{"authgate:session:*", "authgate:grant:*", "authgate:id:*", "authgate:sessions:*", "authgate:{all}", "authgate:{feed}"} {
			if err := server.client.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			r := newReplicas(t, server.url())
			here, there := r.add(), r.add()
			b, s := r.login(here, "alice", "first")
			for _, key := range server.keys(t, pattern) {
				spoil(key)
			}
			what := name + " in " + pattern
			_, err := opens(there, b)
			if strings.HasPrefix(pattern, "authgate:session:") || strings.HasPrefix(pattern, "authgate:grant:") {
				if !errors.Is(err, session.ErrExpired) {
					t.Errorf("%s: %v", what, err)
				}
				if _, err := there.Refresh(t.Context(), s, answers(r.grant("alice", "x"))); err == nil {
					t.Errorf("%s: renewed", what)
				}
			} else if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := there.List(t.Context(), session.Filter{All: true}); err != nil {
				t.Errorf("%s: listing: %v", what, err)
			}
			if _, err := here.Revoke(t.Context(), session.Filter{ID: s.ID}); err != nil {
				t.Errorf("%s: signing out: %v", what, err)
			}
			if err := wantsError(here, b, session.ErrExpired)(); err != nil {
				t.Errorf("%s: after signing out: %v", what, err)
			}
			until(t, 5*time.Second, what+": a login repairs it", func() error {
				b, _ := r.login(here, "alice", "second")
				return errors.Join(wants(here, b, "second")(), wants(there, b, "second")(), here.Down(), there.Down())
			})
		}
	}
}

func TestRecordsThatWereSwappedOpenNothing(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r := newReplicas(t, server.url())
	here, there := r.add(), r.add()
	alice, _ := r.login(here, "alice", "first")
	bob, _ := r.login(here, "bob", "bobs")
	for _, pattern := range []string{"authgate:session:*", "authgate:grant:*"} {
		keys := server.keys(t, pattern)
		if len(keys) != 2 {
			t.Fatalf("%q", keys)
		}
		for _, rename := range [][2]string{{keys[0], "x"}, {keys[1], keys[0]}, {"x", keys[1]}} {
			if err := server.client.Rename(t.Context(), rename[0], rename[1]).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range []sessiontest.Browser{alice, bob} {
			if err := wantsError(there, b, session.ErrExpired)(); err != nil {
				t.Error(pattern, err)
			}
		}
		there = r.add() // which has not noted that they are over
		for _, rename := range [][2]string{{keys[0], "x"}, {keys[1], keys[0]}, {"x", keys[1]}} {
			if err := server.client.Rename(t.Context(), rename[0], rename[1]).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSessionsOfAKeyThatIsGoneAreOver(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	at := r.add()
	b, _ := r.login(at, "alice", "first")
	k, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	r.ring.Set(k)
	until(t, 2*time.Second, "it has ended", wantsError(at, b, session.ErrExpired))
	b, _ = r.login(at, "alice", "second")
	if err := wants(at, b, "second")(); err != nil {
		t.Error(err)
	}
}

func TestAFailoverEndsNoSession(t *testing.T) {
	t.Parallel()
	master := startRedis(t)
	replica := startRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port))
	r := newReplicas(t, sentinel(t, master))
	here, there := r.add(), r.add()
	b, s := r.login(here, "alice", "first")
	bob, _ := r.login(here, "bob", "bobs")
	until(t, 5*time.Second, "the replica has them", func() error {
		if n := len(replica.keys(t, "authgate:session:*")); n != 2 {
			return fmt.Errorf("%d sessions", n)
		}
		return nil
	})
	if _, err := opens(there, b); err != nil {
		t.Fatal(err)
	}
	master.kill()
	until(t, 30*time.Second, "the replica has taken over", func() error {
		for _, at := range []*redisstore.Store{here, there} {
			if err := wants(at, b, "first")(); err != nil {
				t.Fatal("meanwhile: ", err)
			}
			if _, err := at.Current(s); err != nil {
				t.Fatal("a stream meanwhile: ", err)
			}
		}
		if _, err := opens(there, bob); err != nil && !errors.Is(err, session.ErrStoreDown) {
			t.Fatal("unknown there: ", err)
		}
		if !strings.Contains(replica.client.Info(t.Context(), "replication").Val(), "role:master") {
			return errors.New("it is a replica still")
		}
		return errors.Join(here.Down(), there.Down())
	})
	until(t, 10*time.Second, "all is well", func() error {
		return errors.Join(wants(there, b, "first")(), wants(there, bob, "bobs")(), wants(here, b, "first")())
	})
	second, _ := r.login(here, "alice", "second")
	until(t, 2*time.Second, "changes are heard of", func() error { return errors.Join(wants(there, b, "second")(), wants(there, second, "second")()) })
}

func TestAClusterServesAsOneServerDoes(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--cluster-enabled", "yes")
	if err := server.client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "the cluster is up", func() error {
		if info := server.client.ClusterInfo(t.Context()).Val(); !strings.Contains(info, "cluster_state:ok") {
			return errors.New(info)
		}
		return nil
	})
	r := newReplicas(t, "redis://"+server.addr()+"?addr="+server.addr())
	here, there := r.add(), r.add()
	first, s := r.login(here, "alice", "first")
	r.login(there, "alice", "second")
	until(t, 2*time.Second, "adopted", wants(here, first, "second"))
	s, err := here.Current(s)
	if err != nil {
		t.Fatal(err)
	}
	fresh := r.grant("alice", "third")
	if _, err := here.Refresh(t.Context(), s, answers(fresh)); err != nil {
		t.Fatal(err)
	}
	until(t, 2*time.Second, "renewed", wants(there, first, "third"))
	if list, err := there.List(t.Context(), session.Filter{All: true}); err != nil || len(list) != 2 {
		t.Errorf("%d sessions %v", len(list), err)
	}
	if n, err := there.Revoke(t.Context(), session.Filter{Email: "alice@example.com"}); n != 2 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	until(t, 2*time.Second, "it has ended", wantsError(here, first, session.ErrExpired))
	if left := server.keys(t, "authgate:[gsi]*"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

func TestTLSIsVerifiedAndAnACLUserNeedsNoMoreThanIsDocumented(t *testing.T) {
	t.Parallel()
	args, pool := withTLS(t)
	secure := freePort(t)
	redisServer := startRedis(t, append(args, "--tls-port", strconv.Itoa(secure))...)
	// As docs/operations.md has it.
	rules := []any{
		"ACL", "SETUSER", "authgate", "on", ">pass-of-word", "~authgate:*", "-@all",
		"+@connection", "+get", "+set", "+del", "+type", "+hget", "+hset", "+hdel", "+hmget", "+hincrby", "+pexpire", "+pttl", "+time",
		"+zadd", "+zrem", "+zcard", "+zrange", "+zrangebyscore", "+zremrangebyscore", "+xadd", "+xrange", "+xrevrange", "+eval", "+evalsha",
	}
	if err := redisServer.client.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	address := "rediss://authgate:pass-of-word@127.0.0.1:" + strconv.Itoa(secure) + "/0"
	r := newReplicas(t, address)
	o := r.options()
	o.RootCAs = pool
	at := r.open(o)
	r.run(at)
	until(t, 10*time.Second, "it is up", at.Down)
	b, s := r.login(at, "alice", "first")
	r.clock.move(6 * time.Minute) // its last use is written
	if err := wants(at, b, "first")(); err != nil {
		t.Error(err)
	}
	if _, err := at.Refresh(t.Context(), s, answers(r.grant("alice", "second"))); err != nil {
		t.Error(err)
	}
	if _, err := at.List(t.Context(), session.Filter{All: true}); err != nil {
		t.Error(err)
	}
	if n, err := at.Revoke(t.Context(), session.Filter{ID: s.ID}); n != 1 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	if n, err := at.Revoke(t.Context(), session.Filter{Issuer: "https://dex.example.com", Subject: "alice"}); n != 0 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	for name, change := range map[string]func(*redisstore.Options){
		"the system's CAs":  func(o *redisstore.Options) { o.RootCAs = nil },
		"a wrong password":  func(o *redisstore.Options) { o.URL = strings.Replace(address, "of-word", "of-words", 1) },
		"another host name": func(o *redisstore.Options) { o.URL = strings.Replace(address, "127.0.0.1", "localhost", 1) },
		"a user without any": func(o *redisstore.Options) {
			o.URL = strings.Replace(address, "authgate:pass-of-word@", "", 1) + "?client_name=x"
			redisServer.client.Do(t.Context(), "ACL", "SETUSER", "default", "off")
		},
	} {
		o := r.options()
		o.RootCAs = pool
		change(&o)
		at := r.open(o)
		r.run(at)
		_, err := at.List(t.Context(), session.Filter{All: true})
		if !errors.Is(err, session.ErrStoreDown) || strings.Contains(err.Error(), "pass-of") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if strings.Contains(r.log.text(), "pass-of") {
		t.Error("the password is in the log")
	}
}

func TestAURLThatCannotBeUsedIsRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	_, pool := withTLS(t)
	for address, want := range map[string]string{
		"":                                                   "rediss://",
		"redis.example.com:6379":                             "rediss://",
		"https://redis.example.com":                          "must begin with",
		"rediss://u:p4ss#w@redis.example.com":                "percent-encoded",
		"rediss://u:p4ss/w@redis.example.com":                "percent-encoded",
		"rediss://u:p4ss w@redis.example.com":                "percent-encoded",
		"rediss://u:12?p4ss=w@redis.example.com":             "does not know",
		"rediss://u:12/p4ss@redis.example.com":               "not a database number",
		"rediss://u:p4ss@h/one":                              "not a database number",
		"rediss://u:p4ss@h?dial_timeout=soon":                "invalid value",
		"rediss://u:p4ss@h?skip_verify=true":                 "session.redis.caFile",
		"rediss://u:p4ss@h?addr=h2":                          "invalid value",
		"rediss://u:p4ss@h/1?addr=h2:1":                      "cluster",
		"rediss://u:p4ss@h?addr=h2:1&read_only=1":            "revoked",
		"redis://u:p4ss@h?master_name=":                      "invalid value",
		"redis://u:p4ss@h?master_name=m&route_randomly=true": "revoked",
		"unix://u:p4ss@/run/redis.sock?addr=h:1":             "invalid value",
	} {
		r := newReplicas(t, address)
		_, err := redisstore.New(r.options())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "p4ss") {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
	plain := newReplicas(t, "redis://h").options()
	plain.RootCAs = pool
	if _, err := redisstore.New(plain); err == nil || !strings.Contains(err.Error(), "rediss://") {
		t.Errorf("a CA without TLS: %v", err)
	}
	for _, address := range []string{
		"redis://h", "rediss://u:p%40ss@h:6380/3?read_timeout=2s&pool_size=5", "unix:///run/redis.sock", "rediss://u:p@h:1?addr=h2:1",
		"rediss://u:p@h:26379/0?master_name=m&addr=h2:26379&username=x&password=y",
	} {
		s, err := redisstore.New(newReplicas(t, address).options())
		if err != nil {
			t.Errorf("%q: %v", address, err)
			continue
		}
		_ = s.Close()
	}
}
