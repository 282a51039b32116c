package policy

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/example-org/authgate/target"
)

// cut is one kind of segment that some pieces of patterns tell apart.
type cut struct {
	witness  string   // a segment of the kind; the empty one is a kind of its own
	label    string   // what to call it: a literal, * or a glob
	matching []string // the pieces that match it
}

const codedSlash = "%2F"

func isGlob(piece string) bool {
	return piece != target.AnySegment && strings.Contains(piece, target.AnySegment)
}

// cutSegments gives every kind of segment: each literal, the empty segment, and
// the others by the globs that match them. One of the pieces is a glob; for literals
// and * alone see walk.plainCuts.
func cutSegments(pieces []string, quirks target.Quirks) ([]cut, error) {
	literals := map[string]bool{}
	var globs []string // and *
	for _, piece := range pieces {
		if strings.Contains(piece, target.AnySegment) {
			globs = append(globs, piece)
		} else {
			literals[piece] = true
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
	cuts := []cut{{matching: matching("")}}
	for _, piece := range pieces {
		if literals[piece] && piece != "" {
			cuts = append(cuts, cut{piece, piece, matching(piece)})
		}
	}
	others, err := overlapsOf(globs, literals, quirks)
	return append(cuts, others...), err
}

// fresh gives a plain segment that is none of some pieces, which are sorted.
func fresh(pieces []string) string {
	for _, word := range plainWords {
		if _, taken := slices.BinarySearch(pieces, word); !taken {
			return word
		}
	}
	for i := 1; ; i++ {
		word := "x" + strconv.Itoa(i)
		if _, taken := slices.BinarySearch(pieces, word); !taken {
			return word
		}
	}
}

var plainWords = []string{"x", "y", "z"}

// maxOverlaps bounds one search, in positions of globs looked at. Globs as people
// write them, with one star, need a few for each of their characters.
const maxOverlaps = 1 << 18

// search runs globs side by side over a segment and finds every set of them, the
// empty one too, that some segment matches which is no literal. One strange
// character stands for all that no glob names.
type search struct {
	globs    []string
	tokens   [][]string // the characters of each glob
	width    int        // a state is glob*width + position
	literals map[string]bool
	strange  string
	quirks   target.Quirks // of the paths

	known map[string]bool // sets, by their key
	found []cut
}

func overlapsOf(globs []string, literals map[string]bool, quirks target.Quirks) ([]cut, error) {
	s := search{quirks: quirks, globs: globs, literals: literals, known: map[string]bool{}}
	for _, glob := range globs {
		s.tokens = append(s.tokens, characters(glob))
		s.width = max(s.width, len(glob)+1)
	}
	s.strange = strangeCharacter(s.tokens)
	for _, word := range plainWords { // nicer to read than what the search finds
		s.note(word, "", s.matching(word))
	}
	for _, glob := range globs {
		for _, filling := range []string{"x", s.strange} {
			text := strings.ReplaceAll(glob, target.AnySegment, filling)
			s.note(text, glob, s.matching(text))
		}
	}
	return s.found, s.run()
}

func (s *search) matching(text string) []string {
	var matching []string
	for _, glob := range s.globs {
		if target.MatchSegment(text, glob) {
			matching = append(matching, glob)
		}
	}
	return matching
}

func (s *search) note(text, label string, matching []string) {
	key := strings.Join(matching, "/")
	if s.known[key] || s.literals[text] || !isCanonical("/"+text, s.quirks) {
		return
	}
	s.known[key] = true
	switch globs := countGlobs(matching); {
	case globs == 0:
		label = target.AnySegment
	case globs > 1 || label == "":
		label = text
	}
	s.found = append(s.found, cut{text, label, matching})
}

// run goes breadth first, so that witnesses are short. It leaves out what no path
// can begin with. A state is left twice, because its first text may be a literal.
func (s *search) run() error {
	type step struct {
		text  string
		state []int
	}
	const often = 2
	left := map[string]int{}
	looked := 0
	var first []int
	for g := range s.globs {
		first = append(first, g*s.width)
	}
	for queue := []step{{"", s.settle(first)}}; len(queue) > 0; queue = queue[1:] {
		looked += len(queue[0].state)
		if looked > maxOverlaps {
			return fmt.Errorf("the %d patterns of one segment, %s among them, overlap in too many ways", len(s.globs), s.globs[0])
		}
		at := queue[0]
		if at.text != "" {
			s.note(at.text, "", s.accepted(at.state))
		}
		next := s.next(at.state)
		for _, character := range slices.Sorted(maps.Keys(next)) {
			text, state := at.text+character, s.settle(next[character])
			if key := stateKey(text, state); left[key] < often && isCanonical("/"+text+"x", s.quirks) {
				left[key]++
				queue = append(queue, step{text, state})
			}
		}
	}
	return nil
}

// next gives the states behind each character that is told apart here.
func (s *search) next(state []int) map[string][]int {
	next := map[string][]int{s.strange: nil}
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
func (s *search) token(state int) string {
	glob := s.tokens[state/s.width]
	if at := state % s.width; at < len(glob) {
		return glob[at]
	}
	return ""
}

// settle adds what a * that stands for nothing leads to.
func (s *search) settle(state []int) []int {
	for i := 0; i < len(state); i++ {
		if s.token(state[i]) == target.AnySegment {
			state = append(state, state[i]+1)
		}
	}
	slices.Sort(state)
	return slices.Compact(state)
}

func (s *search) accepted(state []int) []string {
	var matching []string
	for _, n := range state {
		if s.token(n) == "" {
			matching = append(matching, s.globs[n/s.width])
		}
	}
	return matching
}

func countGlobs(pieces []string) (n int) {
	for _, piece := range pieces {
		if isGlob(piece) {
			n++
		}
	}
	return n
}

// characters splits a piece; an escape is one character.
func characters(piece string) []string {
	var all []string
	for piece != "" {
		n := 1
		if piece[0] == '%' && len(piece) >= 3 {
			n = 3
		}
		all = append(all, piece[:n])
		piece = piece[n:]
	}
	return all
}

// strangeCharacter stands for all that no piece names. It is no hexadecimal
// digit, which could make an escape of an escape.
func strangeCharacter(tokens [][]string) string {
	named := map[string]bool{}
	for _, t := range tokens {
		for _, character := range t {
			named[character] = true
		}
	}
	const letters = "x y z g h i j k l m n o p q r s t u v w X Y Z G H I J K L M N O P Q R S T U V W _ ~ - ! $ ' ( ) , : @ = &"
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
	part := text[strings.LastIndex(text, codedSlash)+1:]
	if part = strings.TrimPrefix(part, codedSlash[1:]); part == "" || part == "." || part == ".." {
		key = append(key, "/"+part...)
	}
	return string(key)
}
