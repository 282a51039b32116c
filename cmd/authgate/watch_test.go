package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
)

const (
	oneRow   = "p, role:admin, argocd, /**, *, allow\ng, example-org:argo, role:admin\n"
	otherRow = "p, role:viewer, argocd, /**, GET, allow\ng, example-org:dev, role:viewer\n"
)

// follower is a policy file, a watch on it, and what the watch made of it.
type follower struct {
	*fileWatcher
	*watchedFiles
	file     string
	log      bytes.Buffer
	again    chan os.Signal
	taken    chan string // first column of the policy's first row
	refusals chan error
}

// newFollower begins with oneRow. It waits for the poll only where a test says so.
func newFollower(t *testing.T, file string) *follower {
	t.Helper()
	write(t, file, oneRow)
	return follow(t, file)
}

func follow(t *testing.T, file string) *follower {
	t.Helper()
	sources, err := policy.ReadFiles(file)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{file: file, taken: make(chan string, 16), refusals: make(chan error, 16), again: make(chan os.Signal)}
	known := &config.Config{Upstreams: []config.Upstream{{Name: "argocd"}}}
	f.watchedFiles = &watchedFiles{
		what: "policy", files: []string{file}, read: readPolicies, processed: contentHash(contentsOf(sources), nil),
		apply:   (&deps{config: known}).applyPolicy([]string{file}, func(*policy.Snapshot) error { f.taken <- firstRole(t, file); return nil }),
		onError: func(err error) { f.refusals <- err },
	}
	f.fileWatcher = &fileWatcher{settleDelay: 5 * time.Millisecond, pollInterval: time.Hour, log: slog.New(slog.NewTextHandler(&f.log, nil))}
	f.add(f.watchedFiles)
	return f
}

func firstRole(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return ""
	}
	return strings.Split(string(text), ", ")[1]
}

// start runs the watch until the test ends.
func (f *follower) start(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.run(ctx, f.again)
	}()
	t.Cleanup(func() { stop(); <-done })
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// soon waits for something that the watch does.
func soon[T any](t *testing.T, what string, c <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
	return got
}

// nothing fails if the watch did something.
func (f *follower) nothing(t *testing.T, when string) {
	t.Helper()
	select {
	case role := <-f.taken:
		t.Errorf("%s: the policy of %s was taken", when, role)
	case err := <-f.refusals:
		t.Errorf("%s: %v", when, err)
	default:
	}
}

func TestFileThatIsBeingWrittenIsNotTakenBeforeItsEnd(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	if f.fileWatcher.check() {
		t.Error("an unchanged file is looked at again")
	}
	for _, part := range []string{"", "p, role:viewer, ar", otherRow[:40], otherRow} {
		write(t, f.file, part)
		if !f.fileWatcher.check() {
			t.Errorf("%q is not looked at again", part)
		}
		f.nothing(t, "after "+part)
	}
	if f.fileWatcher.check() {
		t.Error("what was found twice is looked at again")
	}
	if got := soon(t, "the whole file", f.taken); got != "role:viewer" {
		t.Errorf("the policy of %s", got)
	}
	f.fileWatcher.check()
	f.nothing(t, "a further look")
	for i := range 2 * maxUnsettled { // and so it is after any number of changes
		write(t, f.file, oneRow+strings.Repeat("#", i+1))
		f.fileWatcher.check()
		f.nothing(t, "at the first sight of a further change")
		f.fileWatcher.check()
		soon(t, "the further change", f.taken)
	}
}

func TestFileThatNeverRestsIsJudgedAllTheSame(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	for i := range maxUnsettled {
		f.nothing(t, "while there is patience")
		write(t, f.file, otherRow+strings.Repeat("#", i+1)+"\n")
		f.fileWatcher.check()
	}
	soon(t, "the judgement", f.taken)
}

func TestFileThatIsGoneForAMomentIsNoComplaint(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	if err := os.Rename(f.file, f.file+"~"); err != nil {
		t.Fatal(err)
	}
	if !f.fileWatcher.check() {
		t.Error("it is not looked at again")
	}
	write(t, f.file, oneRow)
	f.fileWatcher.check()
	f.nothing(t, "the same file came back")
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	f.fileWatcher.check()
	f.fileWatcher.check()
	if err := soon(t, "the complaint", f.refusals); !strings.Contains(err.Error(), f.file) {
		t.Errorf("the file is not named: %v", err)
	}
	f.fileWatcher.check()
	f.nothing(t, "complained of already")
}

func TestEmptyFilesAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n\n", "# all of it commented out\n#p, role:admin, argocd, /**, *, allow\n"} {
		f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
		write(t, f.file, text)
		f.fileWatcher.check()
		f.fileWatcher.check()
		if err := soon(t, "the complaint", f.refusals); !strings.Contains(err.Error(), "policy.csv") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhoeverAsksIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	ask := func(looks int) {
		f.requestReload()
		for i := range looks {
			if again := f.fileWatcher.check(); again != (i+1 < looks) {
				t.Errorf("look %d of %d: to look again is %t", i+1, looks, again)
			}
		}
	}
	ask(1)
	f.nothing(t, "unchanged")
	if !strings.Contains(f.log.String(), "policy is unchanged") {
		t.Errorf("nothing is said: %s", &f.log)
	}
	write(t, f.file, otherRow)
	ask(2)
	soon(t, "the changed policy", f.taken)
	write(t, f.file, "p, role:viewer\n")
	for _, looks := range []int{2, 1} {
		ask(looks)
		soon(t, "a complaint each time", f.refusals)
	}
	f.fileWatcher.check()
	f.nothing(t, "nobody asked")
	write(t, f.file, otherRow)
	ask(2)
	soon(t, "what was in force before", f.taken)
	if n := strings.Count(f.log.String(), "unchanged"); n != 1 {
		t.Errorf("said to be unchanged %d times:\n%s", n, &f.log)
	}
}

// A cut file may lack just the row that denies.
func TestFileThatIsBeingWrittenIsNotTakenForWhoeverAsks(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	whole := oneRow + "p, role:admin, argocd, /secret/**, *, deny\n"
	for _, part := range []string{"", oneRow[:38], whole} {
		write(t, f.file, part)
		f.requestReload()
		f.fileWatcher.check()
		f.nothing(t, "after "+part)
	}
	f.fileWatcher.check()
	soon(t, "the whole file", f.taken)
}

// A ConfigMap is a folder in which ..data is a link that is swapped.
func TestSwappedLinkOfAConfigMapIsHeard(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	file := filepath.Join(mount, "policy.csv")
	swap := func(version, text string) {
		write(t, filepath.Join(mount, version, "policy.csv"), text)
		fresh := filepath.Join(mount, "..data_tmp")
		if err := os.Symlink(version, fresh); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..2026_11_23_1", oneRow)
	if err := os.Symlink(filepath.Join("..data", "policy.csv"), file); err != nil {
		t.Fatal(err)
	}
	f := follow(t, file)
	f.start(t)
	for i, text := range []string{otherRow, oneRow, otherRow} {
		version := "..2026_11_23_" + string(rune('2'+i))
		swap(version, text)
		if i == 2 { // the swap alone is heard, and so it is where the old version goes at once
			if err := os.RemoveAll(filepath.Join(mount, "..2026_11_23_"+string(rune('1'+i)))); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := soon(t, version, f.taken), strings.Split(text, ", ")[1]; got != want {
			t.Errorf("%s: the policy of %s, want %s", version, got, want)
		}
	}
}

// Tools that check a repository out anew beside the last one swap a link above
// the file, and may leave the old one where it is.
func TestSwappedLinkAboveTheFileIsHeard(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, file, link, first, second string }{
		{"a folder that is a link", "current/policy.csv", "current", "trees/1", "trees/2"},
		{"a link to a link", "etc/policy.csv", "links/policy", "../trees/1/policy.csv", "../trees/2/policy.csv"},
	} {
		root := t.TempDir()
		write(t, filepath.Join(root, "trees/1/policy.csv"), oneRow)
		write(t, filepath.Join(root, "trees/2/policy.csv"), otherRow)
		file, link := filepath.Join(root, c.file), filepath.Join(root, c.link)
		if c.link == "links/policy" {
			replaceLink(t, filepath.Join(root, "links", "policy"), file)
		}
		replaceLink(t, c.first, link)
		f := follow(t, file)
		f.start(t)
		for _, version := range []string{c.second, c.first, c.second} {
			replaceLink(t, version, link)
			if got := soon(t, c.what, f.taken); (got == "role:viewer") != (version == c.second) {
				t.Errorf("%s: the policy of %s after %s", c.what, got, version)
			}
		}
		write(t, filepath.Join(root, "trees/2/policy.csv"), oneRow)
		soon(t, "what the link leads to, written in place", f.taken)
	}
}

func replaceLink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link+"~"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+"~", link); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyFoldersThatMatterAreWatched(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, tree := range []string{"1", "2"} {
		write(t, filepath.Join(root, tree, "policy.csv"), oneRow)
	}
	link := filepath.Join(root, "current")
	replaceLink(t, "1", link)
	f := follow(t, filepath.Join(link, "policy.csv"))
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	for _, tree := range []string{"1", "2"} {
		replaceLink(t, tree, link)
		if err := f.watchDirs(watcher); err != nil {
			t.Fatal(err)
		}
		got, want := watcher.WatchList(), []string{root, filepath.Join(root, tree)}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q are watched, want %q", got, want)
		}
	}
}

func TestLinksInACircleAreNoPolicy(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	f.start(t)
	replaceLink(t, f.file, f.file)
	soon(t, "the complaint", f.refusals)
}

func TestEditorsAreFollowedWhicheverWayTheyWrite(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	f.start(t)
	write(t, f.file, otherRow) // in place
	soon(t, "a file written in place", f.taken)
	write(t, f.file+".swp", oneRow)
	if err := os.Rename(f.file+".swp", f.file); err != nil {
		t.Fatal(err)
	}
	soon(t, "a file that was renamed", f.taken)
	write(t, f.file, otherRow) // the watch is not on the file that was replaced
	soon(t, "the new file, written in place", f.taken)
}

func TestFolderThatVanishedIsHeardWhenItComesBack(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "more", "policies")
	f := newFollower(t, filepath.Join(folder, "policy.csv"))
	f.start(t)
	for _, text := range []string{otherRow, oneRow} {
		if err := os.RemoveAll(filepath.Dir(folder)); err != nil {
			t.Fatal(err)
		}
		soon(t, "the complaint", f.refusals)
		write(t, f.file, text)
		soon(t, "the folder to be found", f.taken)
	}
	write(t, f.file, otherRow)
	soon(t, "an event in the folder", f.taken)
}

func TestWhatNoEventTellsIsFoundByThePoll(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	f := newFollower(t, filepath.Join(root, "a", "b", "policy.csv"))
	write(t, filepath.Join(root, "z", "b", "policy.csv"), otherRow)
	f.pollInterval = 20 * time.Millisecond
	f.start(t)
	// The folder that is watched stays as it is, only somewhere else.
	if err := os.Rename(filepath.Join(root, "a"), filepath.Join(root, "y")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "z"), filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	soon(t, "the other file", f.taken)
}

func TestPolicyThatLostMoreThanHalfOfItsRowsIsSuspect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		had, has int
		suspect  bool
	}{
		{10, 10, false}, {10, 20, false}, {10, 5, false}, {10, 4, true}, {3, 1, true}, {2, 1, false}, {1, 1, false}, {11, 5, true},
	} {
		err := checkShrink(c.had, c.has)
		if (err != nil) != c.suspect {
			t.Errorf("%d of %d rows: %v", c.has, c.had, err)
		}
	}
	if err := checkShrink(10, 4); !strings.Contains(err.Error(), "4 of 10 rows") || !strings.Contains(err.Error(), "policy.allowShrink: true") {
		t.Error(err)
	}
}
