package watch

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	oneRow   = "p, role:admin, argocd, /**, *, allow\ng, example-org:argo, role:admin\n"
	otherRow = "p, role:viewer, argocd, /**, GET, allow\ng, example-org:dev, role:viewer\n"
)

// follower is a policy file, a watcher of it, and what the watcher did.
type follower struct {
	*Watcher
	*Files
	file     string
	log      bytes.Buffer
	again    chan os.Signal
	taken    chan string // first column of the policy's first row
	refusals chan error
}

// newFollower begins with oneRow. Its watcher polls often, unless a test calls Check itself.
func newFollower(t *testing.T, file string) *follower {
	t.Helper()
	write(t, file, oneRow)
	return follow(t, file)
}

func follow(t *testing.T, file string) *follower {
	t.Helper()
	f := &follower{file: file, taken: make(chan string, 16), refusals: make(chan error, 16), again: make(chan os.Signal)}
	read := func() ([][]byte, error) {
		text, err := os.ReadFile(file)
		return [][]byte{text}, err
	}
	loaded, err := read()
	if err != nil {
		t.Fatal(err)
	}
	f.Files = &Files{
		Name: "policy", Paths: []string{file}, Read: read,
		Apply: func(contents [][]byte) error {
			role, err := firstRole(string(contents[0]))
			if err == nil {
				f.taken <- role
			}
			return err
		},
		OnError: func(err error) { f.refusals <- err },
	}
	f.Watcher = New(slog.New(slog.NewTextHandler(&f.log, nil)))
	f.settleDelay, f.pollInterval = 5*time.Millisecond, 20*time.Millisecond
	f.Add(f.Files, loaded)
	return f
}

// firstRole reads a policy, of which it checks the number of columns.
func firstRole(text string) (string, error) {
	for line := range strings.Lines(text) {
		if strings.Count(line, ", ") < 2 && line[0] != '#' {
			return "", errors.New("a row is too short: " + line)
		}
	}
	columns := strings.Split(text, ", ")
	if len(columns) == 1 {
		return "", errors.New("the policy has no rows")
	}
	return columns[1], nil
}

// start runs the watch until the test ends.
func (f *follower) start(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx, f.again)
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
	if f.Watcher.Check() {
		t.Error("an unchanged file is looked at again")
	}
	for _, part := range []string{"", "p, role:viewer, ar", otherRow[:40], otherRow} {
		write(t, f.file, part)
		if !f.Watcher.Check() {
			t.Errorf("%q is not looked at again", part)
		}
		f.nothing(t, "after "+part)
	}
	if f.Watcher.Check() {
		t.Error("what was found twice is looked at again")
	}
	if got := soon(t, "the whole file", f.taken); got != "role:viewer" {
		t.Errorf("the policy of %s", got)
	}
	f.Watcher.Check()
	f.nothing(t, "a further look")
	for i := range 2 * maxUnsettled { // and so it is after any number of changes
		write(t, f.file, oneRow+strings.Repeat("#", i+1))
		f.Watcher.Check()
		f.nothing(t, "at the first sight of a further change")
		f.Watcher.Check()
		soon(t, "the further change", f.taken)
	}
}

func TestFileThatNeverRestsIsJudgedAllTheSame(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	for i := range maxUnsettled {
		f.nothing(t, "while there is patience")
		write(t, f.file, otherRow+strings.Repeat("#", i+1)+"\n")
		f.Watcher.Check()
	}
	soon(t, "the judgement", f.taken)
}

func TestFileThatIsGoneForAMomentIsNoComplaint(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	if err := os.Rename(f.file, f.file+"~"); err != nil {
		t.Fatal(err)
	}
	if !f.Watcher.Check() {
		t.Error("it is not looked at again")
	}
	write(t, f.file, oneRow)
	f.Watcher.Check()
	f.nothing(t, "the same file came back")
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	f.Watcher.Check()
	f.Watcher.Check()
	if err := soon(t, "the complaint", f.refusals); !strings.Contains(err.Error(), f.file) {
		t.Errorf("the file is not named: %v", err)
	}
	f.Watcher.Check()
	f.nothing(t, "complained of already")
}

func TestARequestedReadIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	ask := func(looks int) {
		f.requestReload()
		for i := range looks {
			if again := f.Watcher.Check(); again != (i+1 < looks) {
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
	f.Watcher.Check()
	f.nothing(t, "no read was requested")
	write(t, f.file, otherRow)
	ask(2)
	soon(t, "what was in force before", f.taken)
	if n := strings.Count(f.log.String(), "unchanged"); n != 1 {
		t.Errorf("said to be unchanged %d times:\n%s", n, &f.log)
	}
}

// A cut file may lack just the row that denies.
func TestARequestedReadSkipsAFileThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	whole := oneRow + "p, role:admin, argocd, /secret/**, *, deny\n"
	for _, part := range []string{"", oneRow[:38], whole} {
		write(t, f.file, part)
		f.requestReload()
		f.Watcher.Check()
		f.nothing(t, "after "+part)
	}
	f.Watcher.Check()
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

// Tools that check a repository out again next to the last checkout swap a link above
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

func TestStatTellsAChangedFileFromAnUnchangedOne(t *testing.T) {
	t.Parallel()
	if PollInterval > time.Second {
		t.Errorf("polled every %s", PollInterval)
	}
	f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
	f.statChanged()
	if f.statChanged() {
		t.Error("nothing has changed")
	}
	write(t, f.file, otherRow)
	if !f.statChanged() || f.statChanged() {
		t.Error("one change is one look")
	}
	write(t, f.file+"~", strings.ToUpper(otherRow))
	info, err := os.Stat(f.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chtimes(f.file+"~", info.ModTime(), info.ModTime()), os.Rename(f.file+"~", f.file)); err != nil {
		t.Fatal(err)
	}
	if !f.statChanged() || f.statChanged() {
		t.Error("another file of the same size and time is a change")
	}
	replaceLink(t, f.file+"-2", f.file)
	if !f.statChanged() || f.statChanged() {
		t.Error("a file that is gone is a change")
	}
	write(t, f.file+"-2", otherRow)
	if !f.statChanged() {
		t.Error("a link that leads somewhere again is a change")
	}
}

func TestAChangeIsAppliedWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFollower(t, filepath.Join(t.TempDir(), "policy.csv"))
		f.settleDelay, f.pollInterval = SettleDelay, PollInterval
		f.start(t)
		for i := range 3 * rereadEvery {
			write(t, f.file, otherRow+strings.Repeat("#", i+1))
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if len(f.taken) != 1 {
				t.Fatalf("change %d has been applied %d times after two seconds", i, len(f.taken))
			}
			<-f.taken
		}
	})
}
