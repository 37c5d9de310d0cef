/** placeholder */
export interface ChildRows {
  readonly crowded: Int32Array
  readonly states: Int32Array
  readonly counters: Float64Array
}
