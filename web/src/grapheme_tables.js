// Which code points join others to a grapheme cluster (Unicode Standard Annex 29) in the
// library `tokenizers` (0.23.3). Made by tests/golden/make_grapheme_tables.py, which says
// why; not to be edited. A set is written as in characters.js.

// Control, but the line ends (GB4, GB5).
export const controls =
  "0:a 1:2 1:i 2n:x d 12m 3jl 1ks 2:2 o:7 1d:g 17yn 6o:c ab8:g qxs:4 43z:8 h405:w 2o:3k 6o:2s0 ";

// Extend (GB9).
export const extenders =
  "lc:34 7n:7 7b:19 1 1:2 1:2 1 20:b 1c:l g 2t:7 2:6 2:2 1:4 z u:r 2j:b 1m:9 9 o:4 1:9 1:3 1:5 " +
  "17:3 1n:9 16:o 1:w 1j 1 4:8 4 3:7 a:2 t 1m 1 2:4 8 9 a:2 q 2:2 1l 4:2 4:2 2:3 3 u:2 3 b:2 1l " +
  "4:5 1:2 4 k:2 m:6 1 1m 1:2 1:4 8 7:3 a:2 u 1n 1 c 9 14 3 1j 1:3 5:3 1:4 7:2 b:2 t 1m 2:2 1 " +
  "3:3 1:4 7:2 b:2 s:2 1l:2 1 2:4 8 9 a:2 t 20 4 2:3 1 8 29 2:7 c:8 2q 2:9 b:7 21:2 r 1 1 1j:e " +
  "1:5 1:2 5:b 1:10 9 2u:4 1:6 1:2 2:2 p:2 4:3 g:4 d 2:2 6 f jj:3 qa:4 s:3 t:2 u:2 1s:2 1:7 8 " +
  "2:b 9 19:3 1 39:2 y 3a:3 4:2 9 6:3 63:2 2 1m 1:7 1 1 2:8 6:a 2 1c:1a 2:c k:4 1c:a 4:3 12:9 " +
  "c:2 w:4 2:6 1k 1:2 3 1:5 1k:8 2:2 48:3 1:d 1:7 4 6 3:2 5i:1s ek 5f:x 2da:3 3x 2o:w fe:6 2x:2 " +
  "n9w:4 1:a w:2 28:2 7k 3 4 p:2 5 47:2 q:i d 12:8 p:b 1 18:3 1c 2:4 2:2 2 10 1v:6 2:2 2:2 c 8 " +
  "1b 1f 1:3 2:2 5:2 1 16:2 8 6m 2 4 fn4 kh:g g:g a6:2 gt 6a 45:5 1ae:3 1:2 5:4 14:3 4 4l:2 " +
  "fx:4 1t:5 8t:2 25:6 1y:b 1d:4 3f 1i:f 15 2:2 a:3 1d:4 2:2 7 1p:3 10:5 1:8 1q c:2 1g:9 1 8:4 " +
  "2 2n:3 2:4 6 2 4d 3:8 l:2 1l:2 1 1 c 9 e:7 3:5 1v 2:6 1 2 1:3 4:3 1 e:2 2d:8 2:3 1 n 29 2:6 " +
  "1 2 1:2 1:2 6j 2:4 6:2 1:2 r:2 2d:8 2 1:2 2y 1 2:8 2t 1 2:4 1:5 77:9 1:2 6t a:4 4 40:4 2:2 4 " +
  "w:a 14:6 2:4 8 9:6 2:3 1a:d 1:2 5i 1:3 1 5l:7 1:6 1 2a:m 2:7 1:2 1:2 3e:6 3 1:2 1:7 1 20:2 3 " +
  "1 9n:2 b:2 1g:5 5:3 n 44l 6:f 8ug:c 3:3 1xc:5 1n:7 t4 1r:4 29 b:2 f57:2 3mp:1a 2:n f2:5 3:6 " +
  "8:8 2:7 u:4 44:3 1iz:1j 4:1e 8 e m:5 1:f 11s:7 1:h 2:7 1:2 1:5 2s 4g:7 af 1p:4 e4:4 72:2 6r " +
  "2 7:2 5 d6:7 31:7 240:5 gx7k:2o 3k:6o ";

// SpacingMark (GB9a).
export const spacingMarks =
  "1s3 1j 2:3 8:4 1:2 1e:2 1n:2 6:2 2:2 1i 1m:3 1u 1m:3 8 1:2 1h:2 1o 6:2 2:2 36 1:2 3:3 1:3 " +
  "1g:3 1p:4 1p:2 1m 2 1:2 1a e:2 1n:2 5:3 1:3 1h:2 24:2 6:7 j:2 1r 3j 3u:2 1r 4x 9:2 p:2 18 " +
  "1f5 7:8 1:2 9m:4 2:3 4:2 1:6 68:2 1m 1 l:6 41 1l:4 1s u 4:2 1r 2:3 1 1h:8 8:2 4r l rhn:2 2 " +
  "2g:2 1e:g 3y 1c 1c:2 4:2 2:2 33:2 2:2 o 4d 2:2 5 6l:2 1:2 1:2 1 jrn 1 3j 19:3 4:2 37 o:2 1n " +
  "1c:3 9 e 2l:3 3:2 4s:3 v:2 1n 1:4 2:2 2:2 l:2 2d:2 f 1:2 2v:3 8:2 3 2z:2 6 1:2 1 2 6m:2 6:4 " +
  "2 35:3 8:2 1 31 1:2 32 7 79:3 9 6w:5 1:2 7 1 3y:3 8:4 4 2c t:2 1q 5l 3 1 5j e 2y 7 2 5x:5 " +
  "4:2 1 9q:2 c 1c:2 8:2 d0q:3 2sk:1j ";

// Prepend (GB9b).
export const prepended =
  "16o:6 5z 1d ao:2 28 vf 1f8u f 6s:2 el 12l 1 8y:6 jg cb ";

// Indic_Conjunct_Break=Consonant (GB9c).
export const consonants =
  "1sl:11 u:8 o:8 l:k 1:7 1 3:4 y:2 1 g:2 4j:k 1:7 1:2 1:5 1r r:k 1:7 1:2 1:5 y:2 1 h 4j:k 1:g " +
  "u:3 56:12 jp:17 k g:6 4:4 3 3:2 7:3 4:d c 1dd:1g h8:1h 52:2 6:x h:8 1i:u d:2 b:3 s0b:3 3:10 " +
  "19:5 2:9 a:5 2p:g 1:3 6 3:2 2o:b 5x:r ilh f:4 1:3 1:t 1cd:10 t 2 fs:a 1 2 1:12 11m:7 2 2:8 " +
  "1:2 1:o 5s a:14 t b:14 w0:d 1:y ";

// Indic_Conjunct_Break=Linker (GB9c), which are extenders, too.
export const linkers =
  "1u5 3j 73 3j 73 73 kr 1i0 i5 6b 2u s2c 8l itk 1df ik 12l 7c 29 x4 ";

// Extended_Pictographic (GB11).
export const pictographs =
  "4p 4 68d c 60 m 2i:6 f:2 a7:2 c 4m p:b 4:3 5j 6f:2 a 9 1m:4 1:5 9 2 2:2 2 4 2 1:2 2 3 3:2 " +
  "8:3 5 1 5:c b:2 2 1:2 1 i 2:2 i:6 1 1:2 3:2 5 2:2 4:2 b:2 5:2 2 5:2 1 1:2 k:2 5:6 1:4 2 4 2 " +
  "2:6 1 2 1 1 6 3 6 a:2 f 2 4 1 4:3 1 b:2 1c:3 9 e e ac:2 cv:3 j:2 1f 4 yi c gp 1 2fze 13:4 " +
  "2s:c f:2 f e:2 11:a 34:2 c:2 e 2:a j:1k r:f a k 2:9 1:4 9:n 6:58 2:34 2:2 1:3 2:2b 2:3 1:4 " +
  "5:72 1:1r b:6 1:o 7:2 2:8 c 2:4 2 4:2 d:2 2 8:2 9 5:3 c:3 8:3 2 1 4 6 3 6:2e 1c:1y 5:8 2:h 3 " +
  "1:6 2:d 62:12 c:4 1k:8 a:6 14:8 u:2 c:4 2:e 9:13 c:1b 1:a 1:55 2g:8 e:42 74:se ";
