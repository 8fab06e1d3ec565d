// Checks a published log with the reference code of Go's checksum database, which shares nothing with ours.
//
//	logcheck tiles FOLDER VKEY INDEX ENTRY OLD_SIZE OLD_ROOT   from the published tiles: inclusion and consistency
//	logcheck proof FILE VKEY ENTRY                             a .tlog-proof file
//
// ENTRY is hexadecimal, OLD_ROOT base64. Exits 0 if everything verifies; otherwise 1, saying what does not.
package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func number(text string) int64 { return must(strconv.ParseInt(text, 10, 64)) }

// openCheckpoint verifies the Ed25519 signature; the lines of keys that it does not know are ignored.
func openCheckpoint(signed []byte, vkey string) tlog.Tree {
	verifier := must(note.NewVerifier(vkey))
	opened := must(note.Open(signed, note.VerifierList(verifier)))
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		check(fmt.Errorf("the origin %q is not the key's name", lines[0]))
	}
	return tlog.Tree{N: number(lines[1]), Hash: must(tlog.ParseHash(lines[2]))}
}

type folder string

func (f folder) Height() int { return 8 }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		// The paths of C2SP tlog-tiles leave out the height.
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		read, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		data = append(data, read)
	}
	return data, nil
}

func main() {
	arguments := os.Args[2:]
	switch os.Args[1] {
	case "tiles":
		place, index, oldSize := folder(arguments[0]), number(arguments[2]), number(arguments[4])
		entry := must(hex.DecodeString(arguments[3]))
		tree := openCheckpoint(must(os.ReadFile(filepath.Join(string(place), "checkpoint"))), arguments[1])
		reader := tlog.TileHashReader(tree, place)
		record := must(tlog.ProveRecord(tree.N, index, reader))
		check(tlog.CheckRecord(record, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
		growth := must(tlog.ProveTree(tree.N, oldSize, reader))
		check(tlog.CheckTree(growth, tree.N, tree.Hash, oldSize, must(tlog.ParseHash(arguments[5]))))
	case "proof":
		head, signed, _ := strings.Cut(string(must(os.ReadFile(arguments[0]))), "\n\n")
		lines := strings.Split(head, "\n")
		if lines[0] != "c2sp.org/tlog-proof@v1" {
			check(fmt.Errorf("%q is no proof", lines[0]))
		}
		tree := openCheckpoint([]byte(signed), arguments[1])
		var record tlog.RecordProof
		for _, line := range lines[2:] {
			record = append(record, must(tlog.ParseHash(line)))
		}
		index := number(strings.TrimPrefix(lines[1], "index "))
		entry := must(hex.DecodeString(arguments[2]))
		check(tlog.CheckRecord(record, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
	default:
		check(fmt.Errorf("no such command: %s", os.Args[1]))
	}
	fmt.Println("ok")
}
