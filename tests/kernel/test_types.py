"""Variables of many types without a word about their type: what the kernel leaves out of the standard library's sources
costs none of them."""

import unittest

from _kernel import Kernel

LINES = {
    "numbers": """
let a = 1; let b = 2.5_f32; let c = 7u64.pow(2); let d = (-3i128).abs(); let e = 3.0f64.sqrt(); let f = 5u8.checked_add(1);
let g = u32::MAX.leading_zeros(); let h = 10i64.rem_euclid(3); let i = 1.5f64.to_bits(); let j = 300u16.to_le_bytes();
let k = 8u32.saturating_sub(9); let l = i32::from_str_radix("ff", 16)?; let m = f64::EPSILON; let n = 2usize.is_power_of_two();
let o = "12".parse::<i16>()?; let p = 7.0f64.max(2.0); let q = u64::from(3u32); let r = 5i8.wrapping_neg(); let s = 1u32.overflowing_add(2);
let t = std::num::NonZeroU32::new(5); let u = 9usize.div_ceil(2); let v = 3.7f32 as i32; let w = 1.0f64.total_cmp(&2.0);""",
    "strings": """
let a = "abc".to_string(); let b = a.chars().rev().collect::<String>(); let c = a.split(',').map(str::to_owned).collect::<Vec<_>>();
let d = a.bytes().map(u32::from).sum::<u32>(); let e = a.find('b'); let f = format!("{a}{b}"); let g = a.to_uppercase();
let h = a.trim().len(); let i = a.lines().count(); let j = a.char_indices().last(); let k = 'x'.to_ascii_uppercase();
let l = String::from_utf8_lossy(b"hi").into_owned(); let m = a.split_once('b').map(|(x, y)| (x.to_owned(), y.to_owned()));
let n = a.repeat(3); let o = a.as_bytes().to_vec(); let p = 'q'.is_alphabetic(); let q = a.cmp(&b); let r = "x y".split_whitespace().map(String::from).collect::<Vec<_>>();
let s = std::char::from_u32(97); let t = a.replace('a', "b"); let u = f.into_boxed_str();""",
    "collections": """
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
let v = vec![3, 1, 2]; let a: BTreeMap<_, _> = v.iter().map(|x| (*x, x * 2)).collect(); let b = a.get(&1).copied();
let ab: HashMap<i32, i32> = v.iter().map(|x| (*x, x * 2)).collect(); let ac = ab.len(); let ad = ab.clone().into_iter().collect::<Vec<_>>();
let c = v.iter().copied().collect::<BTreeSet<_>>(); let d = c.range(1..).copied().collect::<Vec<i32>>();
let mut e = VecDeque::new(); e.push_back(1.5); let f = e.pop_front(); let g = v.iter().copied().collect::<BinaryHeap<i32>>().into_sorted_vec();
let mut h = BTreeMap::new(); *h.entry("k".to_owned()).or_insert(0) += 1; let i = h.into_iter().collect::<Vec<_>>();
let j = v.iter().max().copied(); let k = v.iter().zip(&v).map(|(x, y)| x * y).sum::<i32>(); let l = v.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
let m = v.chunks(2).map(<[i32]>::to_vec).collect::<Vec<_>>(); let n = v.iter().enumerate().filter(|(at, _)| at % 2 == 0).map(|(_, x)| *x).collect::<Vec<_>>();
let o = v.iter().fold(0, |sum, x| sum + x); let p = v.iter().any(|x| *x > 2); let q = v.iter().position(|x| *x == 2);
let r = [1, 2, 3].map(|x| x as f64); let s = v.iter().flat_map(|x| vec![*x; 2]).collect::<HashSet<_>>().len(); let t = v.first().copied();
let mut u = v.clone(); u.sort_by(|x, y| y.cmp(x)); let w = u.binary_search(&9).is_ok(); let x = u.iter().rev().take(2).cloned().collect::<Vec<_>>();
let y = v.iter().partition::<Vec<i32>, _>(|x| **x > 1); let z = v.split_first().map(|(head, tail)| (*head, tail.len()));""",
    "owners": """
use std::{cell::{Cell, RefCell}, rc::Rc, sync::{Arc, Mutex, RwLock, atomic::AtomicUsize, mpsc}};
let a = Box::new(1); let b = Rc::new(RefCell::new(vec![1])); let c = b.borrow().len(); let d = Arc::new(Mutex::new(2)); let e = *d.lock().unwrap();
let f = Cell::new(3); let g = f.get(); let h = RwLock::new("x".to_owned()); let i = h.read().unwrap().clone(); let j = AtomicUsize::new(1);
let k = Some(2).map(|x| x + 1).filter(|x| *x > 1).unwrap_or_default(); let l: Result<i32, String> = Ok(1); let m = l.clone().map_err(|e| e.len()).ok();
let n = Some(1).zip(Some('a')); let o = Some(Some(1)).flatten(); let p = std::mem::size_of::<u64>(); let q = std::mem::take(&mut vec![1]);
let (r, s) = mpsc::channel::<u8>(); let t = std::thread::spawn(|| 5).join().unwrap(); let u = l.is_ok_and(|x| x > 0);
let v: Box<dyn Fn(i32) -> i32 + Send> = Box::new(|x| x + 1); let w = v(1); let x = std::borrow::Cow::from("x").into_owned();""",
    "the world": """
use std::{fs, io::{self, Read, Write, BufRead, BufReader}, path::{Path, PathBuf}, time::{Duration, Instant, SystemTime}, env, process::Command};
let a = Instant::now(); let b = a.elapsed(); let c = b.as_secs_f64(); let d = Duration::from_millis(5) * 2; let e = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
let f = PathBuf::from("/tmp"); let g = f.join("x").with_extension("txt"); let h = f.exists(); let i = g.file_name().map(|name| name.to_string_lossy().into_owned());
let j = fs::read_dir(&f)?.filter_map(|entry| entry.ok()).map(|entry| entry.path()).count(); let k = fs::metadata(&f)?; let l = k.len(); let m = k.modified()?;
let n = env::var("HOME").ok(); let o = env::current_dir()?; let p = Command::new("true").output()?; let q = p.status.success(); let r = p.stdout;
let s = BufReader::new("a\\nb".as_bytes()).lines().collect::<io::Result<Vec<_>>>()?; let t = fs::read_to_string("/proc/self/comm")?;
let u = fs::File::open("/proc/self/comm")?; let v = io::Cursor::new(vec![1u8]); let w = "127.0.0.1".parse::<std::net::IpAddr>()?; let x = Path::new("a/b").components().count();""",
}


class Types(unittest.TestCase):
    def test_every_variable_has_its_type(self):
        for name, lines in LINES.items():
            with self.subTest(name):
                kernel = Kernel().ready()
                self.addCleanup(kernel.shut_down)
                cell = kernel.run(lines)
                self.assertEqual(cell.status, "ok", "" if cell.status == "ok" else cell.error)


if __name__ == "__main__":
    unittest.main()
