use super::*;

fn refused(bytes: &[u8], part: &str) {
    let problem = tensors(bytes).unwrap_err();
    assert!(problem.contains(part), "{part:?} is not in {problem:?}");
}

#[test]
fn nothing_is_ever_called() {
    // pickle.dumps of objects whose __reduce__ is (os.system, ("echo",)), (eval, ..), and of protocol 4.
    refused(b"\x80\x02cposix\nsystem\nX\x04\0\0\0echo\x85R.", "posix.system");
    refused(b"\x80\x02c__builtin__\neval\nX\x01\0\0\x001\x85R.", "__builtin__.eval");
    refused(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04echo\x85R.", "posix.system");
    refused(b"\x80\x02ctorch\nload\n.", "torch.load");
    refused(b"\x80\x02ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage");
    // INST, OBJ, NEWOBJ, PERSID, EXT1
    for code in *b"io\x81P\x82" {
        refused(&[0x80, 2, b'(', code], &format!("0x{code:02x}"));
    }
}

#[test]
fn a_program_that_makes_no_sense_is_refused() {
    for bytes in [
        b"".as_slice(),
        b"\x80",
        b".",
        b"R",
        b"t",
        b"(.",
        b"\x87",
        b"h\0",
        b"q\0",
        b"a",
        b"}(u",
        b"Na",
        b"NNs",
        b"N)R",
        b"X\xff\xff\xff\xffabc",
        b"\x8a\x20",
        b"cposix",
        b"NQ",
        b"NNb",
        b"((u.",
        b"N.",
        b"}.",
        b"(N(.",
        b"(((tt",
    ] {
        assert!(tensors(bytes).is_err(), "{bytes:?}");
    }
    // Deep nesting must not overflow the stack of the thread that drops it.
    let deep = [vec![b')'], vec![0x85; 1 << 20], vec![b'.']].concat();
    refused(&deep, "dictionary");
}
