package atomicfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/example-org/authgate/text/atomicfile"
)

func TestContentsAppearAtTheCommitAndPermissionsStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	expect := func(when, text string, files int) {
		t.Helper()
		got, err := os.ReadFile(file)
		entries, _ := os.ReadDir(dir)
		if err != nil || string(got) != text || len(entries) != files {
			t.Errorf("%s: %q, %d files, %v", when, got, len(entries), err)
		}
	}
	for _, commit := range []bool{false, true} {
		pending, err := atomicfile.Replace(link, []byte("new"))
		if err != nil {
			t.Fatal(err)
		}
		expect("prepared", "old", 3)
		if commit {
			if err := pending.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		pending.Discard()
		expect("discarded", map[bool]string{false: "old", true: "new"}[commit], 2)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link became a file")
	}
}

func TestWhatIsNotARegularFileIsNotReplaced(t *testing.T) {
	t.Parallel()
	if _, err := atomicfile.Replace(t.TempDir(), nil); err == nil {
		t.Error("a folder is replaced")
	}
	if _, err := atomicfile.Replace(filepath.Join(t.TempDir(), "absent"), nil); err == nil {
		t.Error("a file that does not exist is replaced")
	}
}
