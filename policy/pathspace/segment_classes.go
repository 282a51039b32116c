package pathspace

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/example-org/authgate/target"
)

// segmentClass is one kind of segment that some pieces of patterns tell apart.
type segmentClass struct {
	example     string   // a segment of the kind; the empty one is a kind of its own
	label       string   // what to call it: a literal, * or a glob
	segPatterns []string // the pieces that match it
}

func isGlob(segPattern string) bool {
	return segPattern != target.AnySegment && strings.Contains(segPattern, target.AnySegment)
}

// segmentClassesOf gives every kind of segment: each literal, the empty segment, and
// the others by the globs that match them. One of the pieces is a glob; for literals
// and * alone see walk.literalClasses.
func segmentClassesOf(segPatterns []string, quirks target.Quirks) ([]segmentClass, error) {
	literals := map[string]bool{}
	var globs []string // and *
	for _, segPattern := range segPatterns {
		if strings.Contains(segPattern, target.AnySegment) {
			globs = append(globs, segPattern)
		} else {
			literals[segPattern] = true
		}
	}
	matching := func(segment string) []string {
		matching := []string{segment}
		for _, glob := range globs {
			if target.MatchSegment(segment, glob) {
				matching = append(matching, glob)
			}
		}
		return matching
	}
	classes := []segmentClass{{segPatterns: matching("")}}
	for _, segPattern := range segPatterns {
		if literals[segPattern] && segPattern != "" {
			classes = append(classes, segmentClass{segPattern, segPattern, matching(segPattern)})
		}
	}
	others, err := globOverlaps(globs, literals, quirks)
	return append(classes, others...), err
}

// unusedSegment gives a plain segment that is none of some pieces, which are sorted.
func unusedSegment(segPatterns []string) string {
	for _, word := range plainWords {
		if _, found := slices.BinarySearch(segPatterns, word); !found {
			return word
		}
	}
	for i := 1; ; i++ {
		word := "x" + strconv.Itoa(i)
		if _, found := slices.BinarySearch(segPatterns, word); !found {
			return word
		}
	}
}

var plainWords = []string{"x", "y", "z"}

// maxGlobPositions bounds one search, in positions of globs looked at. Globs as people
// write them, with one star, need a few for each of their characters.
const maxGlobPositions = 1 << 18

// globSearch runs globs side by side over a segment and finds every set of them, the
// empty one too, that some segment matches which is no literal. One strange
// character stands for all that no glob names.
type globSearch struct {
	globs     []string
	tokens    [][]string // the characters of each glob
	width     int        // a state is glob*width + position
	literals  map[string]bool
	otherChar string
	quirks    target.Quirks // of the paths

	seen    map[string]bool // sets, by their key
	classes []segmentClass
}

func globOverlaps(globs []string, literals map[string]bool, quirks target.Quirks) ([]segmentClass, error) {
	s := globSearch{quirks: quirks, globs: globs, literals: literals, seen: map[string]bool{}}
	for _, glob := range globs {
		s.tokens = append(s.tokens, splitCharacters(glob))
		s.width = max(s.width, len(glob)+1)
	}
	s.otherChar = unusedCharacter(s.tokens)
	for _, word := range plainWords { // nicer to read than what the search finds
		s.addClass(word, "", s.matching(word))
	}
	for _, glob := range globs {
		for _, replacement := range []string{"x", s.otherChar} {
			text := strings.ReplaceAll(glob, target.AnySegment, replacement)
			s.addClass(text, glob, s.matching(text))
		}
	}
	return s.classes, s.run()
}

func (s *globSearch) matching(text string) []string {
	var matched []string
	for _, glob := range s.globs {
		if target.MatchSegment(text, glob) {
			matched = append(matched, glob)
		}
	}
	return matched
}

func (s *globSearch) addClass(text, label string, globs []string) {
	key := strings.Join(globs, "/")
	if s.seen[key] || s.literals[text] || !isCanonical("/"+text, s.quirks) {
		return
	}
	s.seen[key] = true
	switch count := countGlobs(globs); {
	case count == 0:
		label = target.AnySegment
	case count > 1 || label == "":
		label = text
	}
	s.classes = append(s.classes, segmentClass{text, label, globs})
}

// run goes breadth first, so that witnesses are short. It leaves out what no path
// can begin with. A state is left twice, because its first text may be a literal.
func (s *globSearch) run() error {
	type step struct {
		text  string
		state []int
	}
	const maxVisitsEach = 2
	visits := map[string]int{}
	positions := 0
	var initial []int
	for g := range s.globs {
		initial = append(initial, g*s.width)
	}
	for queue := []step{{"", s.epsilonClosure(initial)}}; len(queue) > 0; queue = queue[1:] {
		positions += len(queue[0].state)
		if positions > maxGlobPositions {
			return fmt.Errorf("the %d patterns of one segment, %s among them, overlap in too many ways", len(s.globs),
				s.globs[0])
		}
		at := queue[0]
		if at.text != "" {
			s.addClass(at.text, "", s.acceptedGlobs(at.state))
		}
		next := s.next(at.state)
		for _, character := range slices.Sorted(maps.Keys(next)) {
			text, state := at.text+character, s.epsilonClosure(next[character])
			if key := stateKey(text, state); visits[key] < maxVisitsEach && isCanonical("/"+text+"x", s.quirks) {
				visits[key]++
				queue = append(queue, step{text, state})
			}
		}
	}
	return nil
}

// next gives the states after each character that differs here.
func (s *globSearch) next(state []int) map[string][]int {
	next := map[string][]int{s.otherChar: nil}
	for _, n := range state {
		if c := s.token(n); c != "" && c != target.AnySegment {
			next[c] = nil
		}
	}
	for character := range next {
		for _, n := range state {
			switch s.token(n) {
			case target.AnySegment:
				next[character] = append(next[character], n)
			case character:
				next[character] = append(next[character], n+1)
			}
		}
	}
	return next
}

// token is what a state waits for; empty at the end of its glob.
func (s *globSearch) token(state int) string {
	glob := s.tokens[state/s.width]
	if at := state % s.width; at < len(glob) {
		return glob[at]
	}
	return ""
}

// epsilonClosure adds what a * that matches nothing leads to.
func (s *globSearch) epsilonClosure(state []int) []int {
	for i := 0; i < len(state); i++ {
		if s.token(state[i]) == target.AnySegment {
			state = append(state, state[i]+1)
		}
	}
	slices.Sort(state)
	return slices.Compact(state)
}

func (s *globSearch) acceptedGlobs(state []int) []string {
	var globs []string
	for _, n := range state {
		if s.token(n) == "" {
			globs = append(globs, s.globs[n/s.width])
		}
	}
	return globs
}

func countGlobs(segPatterns []string) (n int) {
	for _, segPattern := range segPatterns {
		if isGlob(segPattern) {
			n++
		}
	}
	return n
}

// splitCharacters splits a piece; an escape is one character.
func splitCharacters(segPattern string) []string {
	var all []string
	for segPattern != "" {
		n := 1
		if segPattern[0] == '%' && len(segPattern) >= 3 {
			n = 3
		}
		all = append(all, segPattern[:n])
		segPattern = segPattern[n:]
	}
	return all
}

// unusedCharacter stands for all that no piece names. It is no hexadecimal
// digit, which could make an escape of an escape.
func unusedCharacter(tokens [][]string) string {
	named := map[string]bool{}
	for _, t := range tokens {
		for _, character := range t {
			named[character] = true
		}
	}
	const letters = "x y z g h i j k l m n o p q r s t u v w X Y Z G H I J K L M N O P Q R S T U V W _ ~ - ! $ ' ( " +
		") , : @ = &"
	for c := range strings.FieldsSeq(letters) {
		if !named[c] {
			return c
		}
	}
	return "%20"
}

// stateKey tells apart what goes on differently: by the state, and by whether the
// text could end here. A part between coded slashes may not be empty or of dots.
func stateKey(text string, state []int) string {
	var key []byte
	for _, n := range state {
		key = binary.AppendUvarint(key, uint64(n))
	}
	tail := text[strings.LastIndex(text, target.EncodedSlash)+1:]
	if tail = strings.TrimPrefix(tail, target.EncodedSlash[1:]); tail == "" || tail == "." || tail == ".." {
		key = append(key, "/"+tail...)
	}
	return string(key)
}
