package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/session"
)

func TestAnotherPasswordOfTheSameRedisEndsNoSession(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r := newReplicas(t, server.url())
	at := r.add()
	alice, _ := r.login(at, "alice", "one")
	for _, user := range []string{"first", "second"} {
		server.do(t, "ACL", "SETUSER", user, "on", ">pass-"+user, "~*", "&*", "+@all")
		if err := at.Replace("redis://"+user+":pass-"+user+"@"+server.addr()+"/0", nil); err != nil {
			t.Fatal(err)
		}
		until(t, 10*time.Second, "alice is signed in as "+user, wants(at, alice, "one"))
	}
	server.do(t, "ACL", "DELUSER", "first")
	bob, _ := r.login(at, "bob", "two")
	until(t, 10*time.Second, "bob is signed in", wants(r.add(), bob, "two"))
}

func TestAnotherRedisHasNoSessionsUntilUsersSignIn(t *testing.T) {
	t.Parallel()
	one, two := startRedis(t), startRedis(t)
	r := newReplicas(t, one.url())
	at := r.add()
	alice, _ := r.login(at, "alice", "one")
	if err := at.Replace(two.url(), nil); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "alice's session has ended", wantsError(at, alice, session.ErrExpired))
	alice, _ = r.login(at, "alice", "two")
	one.kill() // nothing asks it any more
	until(t, 10*time.Second, "alice is signed in again", wants(at, alice, "two"))
	if _, err := opens(at, alice); err != nil {
		t.Error(err)
	}
}

func TestABadURLLeavesTheRedisThatWorks(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	at := r.add()
	alice, _ := r.login(at, "alice", "one")
	for _, bad := range []string{"", "hunter2", "http://:hunter2@redis/0", "redis://:hunter2@redis/x", "redis://hunter2\x00"} {
		if err := at.Replace(bad, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := wants(at, alice, "one")(); err != nil {
		t.Error(err)
	}
}
