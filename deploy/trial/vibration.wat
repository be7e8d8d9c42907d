;; The trial's model: eight samples of a vibration sensor in, their root mean square and their peak out.
;; Any module of the conventions in guests/README.md can stand in its place.
(module
  (memory (export "memory") 1)
  (global (export "input") i32 (i32.const 1024)) (global (export "input_size") i32 (i32.const 32))
  (global (export "output") i32 (i32.const 2048)) (global (export "output_size") i32 (i32.const 8))
  (func (export "infer") (result i32)
    (local $offset i32) (local $sample f32) (local $squares f32) (local $peak f32)
    (loop $next
      (local.set $sample (f32.abs (f32.load (i32.add (i32.const 1024) (local.get $offset)))))
      (local.set $squares (f32.add (local.get $squares) (f32.mul (local.get $sample) (local.get $sample))))
      (local.set $peak (f32.max (local.get $peak) (local.get $sample)))
      (local.set $offset (i32.add (local.get $offset) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $offset) (i32.const 32))))
    (f32.store (i32.const 2048) (f32.sqrt (f32.div (local.get $squares) (f32.const 8))))
    (f32.store (i32.const 2052) (local.get $peak))
    (i32.const 8)))
